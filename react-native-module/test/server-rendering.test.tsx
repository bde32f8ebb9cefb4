import { renderToString } from 'react-dom/server';

import {
  type Host,
  SynclineProvider,
  useCollection,
  useConflicts,
  useDocument,
  useInfiniteCollection,
  useOfflineMutation,
  useOfflineQueueStatus,
  useOutcomes,
  usePresence,
  useSocketConnection,
  useSocketEmit,
  useSyncHealth,
  useSyncProgress,
  useTyping,
  useUserDataSync,
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
    pages: useInfiniteCollection({ room: 'list:1', collection: 'tasks' }).hasMore,
    health: useSyncHealth().level,
    typing: useTyping('list:1').users,
    mutation: useOfflineMutation({ endpoint: '/orders' }).status,
    emit: useSocketEmit('news').isPending,
    user: useUserDataSync('ada').loading,
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
    pages: false,
    health: 'offline',
    typing: [],
    mutation: 'idle',
    emit: false,
    user: true,
  });
});
