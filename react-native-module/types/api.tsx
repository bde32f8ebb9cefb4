// Checked by `tsc` only: each `@ts-expect-error` is a mistake that the types must catch.
import {
  type Changes,
  createSyncClient,
  type Cursor,
  cursorOf,
  type ErrorCode,
  type Filter,
  increment,
  type PathOf,
  remove,
  type RetryClass,
  type Schema,
  serverTime,
  set,
  SynclineError,
  SynclineProvider,
  union,
  unset,
  useCollection,
  useDocument,
  useOfflineQueueStatus,
  usePresence,
  useSocketConnection,
} from '../src/index.ts';

interface Player {
  name: string;
  xp: number;
  team?: 'red' | 'blue';
  tags: string[];
  address: { city: string; geo?: { lat: number; lon: number } };
  'odd.key': number;
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function consume(...values: unknown[]): number {
  return values.length;
}

function assertType<T extends true>(): T | undefined {
  return undefined;
}

assertType<
  Equal<
    PathOf<Player>,
    | 'name'
    | 'xp'
    | 'team'
    | 'tags'
    | 'address'
    | 'address.city'
    | 'address.geo'
    | 'address.geo.lat'
    | 'address.geo.lon'
    | 'odd\\.key'
  >
>();

export const right: Changes<Player> = {
  name: 'Ada',
  xp: increment(10),
  team: set('red'),
  tags: union('a', 'b'),
  'address.city': 'London',
  'address.geo': unset(),
  'address.geo.lat': 51.5,
  'odd\\.key': serverTime(),
};

export const wrong: Changes<Player>[] = [
  // @ts-expect-error: not a number
  { xp: 'ten' },
  // @ts-expect-error: no such field
  { score: 1 },
  // @ts-expect-error: no such path
  { 'address.street': 'x' },
  // @ts-expect-error: an increment of text
  { name: increment(1) },
  // @ts-expect-error: not a team
  { team: set('green') },
  // @ts-expect-error: numbers in a list of text
  { tags: remove(1) },
  // @ts-expect-error: a dot of a name is escaped
  { 'odd.key': 1 },
];

export const filters: Filter<Player>[] = [
  { and: [{ eq: ['team', 'red'] }, { not: { gt: ['address.geo.lat', 50] } }, { exists: 'address.geo' }] },
  { or: [{ in: ['name', ['Ada', 'Bob']] }, { contains: ['tags', 'new'] }, { contains: ['name', 'a'] }] },
  // @ts-expect-error: no such path
  { eq: ['address.street', 'x'] },
  // @ts-expect-error: not a number
  { lt: ['xp', 'ten'] },
  // @ts-expect-error: not a team
  { in: ['team', ['green']] },
  // @ts-expect-error: a number holds no parts
  { contains: ['xp', 1] },
  // @ts-expect-error: no such operator
  { like: ['name', 'A%'] },
];

export function Queries() {
  const top = useCollection<Player>({
    room: 'game:1',
    collection: 'players',
    filter: { gte: ['xp', 10] },
    orderBy: [{ path: 'xp', direction: 'desc' }, { path: 'address.city' }],
    limit: 10,
  });
  const last = top.data.at(-1);
  const cursor: Cursor | undefined = last && cursorOf(last, [{ path: 'xp' }]);
  const ref = { room: 'game:1', collection: 'players' };
  // @ts-expect-error: no such path
  useCollection<Player>({ ...ref, orderBy: [{ path: 'score' }] });
  // @ts-expect-error: no such direction
  useCollection<Player>({ ...ref, orderBy: [{ path: 'xp', direction: 'down' }] });
  useCollection({ ...ref, filter: { eq: ['anything', 1] }, orderBy: [{ path: 'at.all' }] });
  consume(top.count, cursor);
  return null;
}

export function Hooks() {
  const players = useCollection<Player>({ room: 'game:1', collection: 'players' });
  const player = players.data[0];
  if (player) {
    const id: string = player.id;
    const lat: number | undefined = player.address.geo?.lat;
    // @ts-expect-error: documents are changed by writes only
    player.name = 'x';
    consume(id, lat);
  }
  void players.insert({ name: 'Ada', xp: 0, tags: [], address: { city: 'London' }, 'odd.key': 1 });
  // @ts-expect-error: a field is missing
  void players.insert({ name: 'Ada' });
  void players.increment('id', 'xp', 5);
  void players.increment('id', 'address.geo.lat');
  // @ts-expect-error: not a number
  void players.increment('id', 'name');
  // @ts-expect-error: an object, not two names
  useCollection('game:1', 'players');

  const one = useDocument<Player>({ room: 'game:1', collection: 'players', id: 'a' });
  const data: Player | null = one.data;
  // @ts-expect-error: may be null
  consume(one.data.name);
  void one.update({ 'address.city': 'Paris' });

  const untyped = useDocument({ room: 'game:1', collection: 'players', id: 'a' });
  void untyped.update({ anything: 1, 'at.all': increment(1) });
  // @ts-expect-error: not JSON
  void untyped.update({ when: new Date() });

  const connected: boolean = useSocketConnection(({ isConnected }) => isConnected);
  const attempts: number = useSocketConnection().reconnectAttempts;
  const count: number = useOfflineQueueStatus(({ count: waiting }) => waiting);
  const me: string | undefined = usePresence('game:1', { state: { cursor: 1 } }).me?.userId;
  consume(data, connected, attempts, count, me);
  return null;
}

export const client = createSyncClient({
  url: 'https://sync.example.com',
  settings: { requestTimeoutMs: 1_000 },
});
// @ts-expect-error: the URL is missing
createSyncClient({ name: 'x' });
// @ts-expect-error: one of the two
createSyncClient({ url: 'x', auth: {} });
// @ts-expect-error: no such setting
createSyncClient({ url: 'x', settings: { timeout: 1 } });
// @ts-expect-error: a token belongs into auth
createSyncClient({ url: 'x', token: 'x' });
void client.update<Player>({ room: 'game:1', collection: 'players', id: 'a' }, { xp: increment() });
// @ts-expect-error: the id is missing
void client.update<Player>({ room: 'game:1', collection: 'players' }, { xp: increment() });
client.on('user', ({ userId, online }) => {
  const state: [string, boolean] = [userId, online];
  consume(state);
});
// @ts-expect-error: no such event
client.on('nothing', () => undefined);

export const given = <SynclineProvider client={client} />;
export const made = (
  <SynclineProvider options={{ url: 'x', auth: { getToken: () => Promise.resolve('t') } }} />
);
// @ts-expect-error: either a client or options
export const neither = <SynclineProvider />;
// @ts-expect-error: not both
export const both = <SynclineProvider client={client} options={{ url: 'x' }} />;

const error: unknown = null;
if (error instanceof SynclineError) {
  const code: ErrorCode = error.code;
  const retryable: boolean = error.retryable;
  const retry: RetryClass = error.retry;
  // @ts-expect-error: no such code
  const never = error.code === 'nope';
  consume(code, retryable, retry, never);
}

export const schema: Schema = {
  version: 2,
  migrations: [{ to: 2, steps: [{ renameField: { collection: 'tasks', from: 'name', to: 'title' } }] }],
};
// @ts-expect-error: a migration leads to a version.
export const schemaWithoutTarget: Schema = { version: 2, migrations: [{ steps: [] }] };
export const indexed = createSyncClient({
  url: 'https://sync.example.com',
  schema,
  collections: { tasks: { indexes: [{ fields: ['done', 'priority'] }] } },
  settings: { cacheBytesMax: 1 << 20 },
});
