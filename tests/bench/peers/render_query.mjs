// A list over the cache of TanStack Query, which each event of socket.io-client changes.

import { io } from 'socket.io-client';

import { measure, required, startSource } from './render.mjs';
import { rowsAtFirst } from './render_rows.mjs';

const { createElement } = required('react');
const { QueryClient, QueryClientProvider, useQuery } = required('@tanstack/react-query');

const source = await startSource('socketio', process.argv[2]);
const client = new QueryClient();
const key = ['rows'];
client.setQueryData(key, rowsAtFirst());

const socket = io(source.about.url, { transports: ['websocket'] });
await new Promise((connected) => socket.on('connect', connected));
socket.on('changed', (changed) => {
  client.setQueryData(key, (rows) => rows.map((row) => (row.id === changed.id ? changed : row)));
});

await measure(
  source,
  () => useQuery({ queryKey: key, queryFn: rowsAtFirst, staleTime: Infinity }).data,
  (list) => createElement(QueryClientProvider, { client }, list),
);
