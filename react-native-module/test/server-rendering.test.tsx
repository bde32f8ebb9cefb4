import { renderToString } from 'react-dom/server';

import {
  type Host,
  SynclineProvider,
  useCollection,
  useConflicts,
  useDocument,
  useOfflineQueueStatus,
  useOutcomes,
  usePresence,
  useSocketConnection,
  useSyncProgress,
} from '../src/index.ts';

/** A server has no core: whoever touches it fails. */
const NO_HOST = new Proxy({} as Host, {
  get(_, member) {
    throw new Error(`${String(member)} was used while rendering on a server`);
  },
});

function Screen() {
  const shown = {
    collection: useCollection({ room: 'list:1', collection: 'tasks' }).status,
    document: useDocument({ room: 'list:1', collection: 'tasks', id: 'a' }).data,
    connection: useSocketConnection().state,
    queue: useOfflineQueueStatus().count,
    members: usePresence('list:1').members,
    phase: useSyncProgress().phase,
    outcomes: useOutcomes().outcomes,
    conflicts: useConflicts().conflicts,
  };
  return JSON.stringify(shown);
}

it('renders the state before anything is known, without a core', () => {
  const html = renderToString(
    <SynclineProvider options={{ url: 'https://sync.example.com' }} host={NO_HOST}>
      <Screen />
    </SynclineProvider>,
  );
  expect(JSON.parse(html.replaceAll('&quot;', '"'))).toEqual({
    collection: 'loading',
    document: null,
    connection: 'idle',
    queue: 0,
    members: [],
    phase: 'idle',
    outcomes: [],
    conflicts: [],
  });
});
