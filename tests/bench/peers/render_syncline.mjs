// A list over `useCollection`, of a client that follows a room of a real server.

import { built, measure, required, startSource } from './render.mjs';

const { createElement } = required('react');
const [{ createSyncClient }, { SynclineContext }, { useCollection }] = await Promise.all(
  ['node.js', 'hooks/context.js', 'hooks/use-collection.js'].map(built),
);

const source = await startSource('syncline', process.argv[2]);
const { url, token } = source.about;
const client = createSyncClient({ url, store: 'memory', auth: { token } });
const rows = { room: 'list:1', collection: 'rows' };

await measure(
  source,
  () => useCollection(rows).data,
  (list) => createElement(SynclineContext, { value: client }, list),
);
