// A list over a plain Zustand store, which each event of socket.io-client changes.

import { io } from 'socket.io-client';

import { measure, required, startSource } from './render.mjs';
import { rowsAtFirst } from './render_rows.mjs';

const { create } = required('zustand');

const source = await startSource('socketio', process.argv[2]);
const useStore = create(() => ({ rows: rowsAtFirst() }));

const socket = io(source.about.url, { transports: ['websocket'] });
await new Promise((connected) => socket.on('connect', connected));
socket.on('changed', (changed) => {
  useStore.setState(({ rows }) => ({ rows: rows.map((row) => (row.id === changed.id ? changed : row)) }));
});

await measure(source, () => useStore(({ rows }) => rows));
