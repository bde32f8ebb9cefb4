// Checked by `tsc` only: each `@ts-expect-error` is a mistake that the declared types must catch.
import {
  createSocket,
  createSyncClient,
  type EmitResult,
  useCollection,
  useDocument,
  useInfiniteCollection,
  usePresence,
  useSocketEmit,
  useSocketEvent,
  useSuspenseCollection,
  useSuspenseDocument,
  useTyping,
} from 'expo-syncline';

import type { Message, Task } from './register.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

function assertType<T extends true>(): T | undefined {
  return undefined;
}

function consume(...values: unknown[]): number {
  return values.length;
}

export function Documents() {
  const tasks = useCollection({
    room: 'list:9',
    collection: 'tasks',
    filter: { and: [{ eq: ['done', false] }, { gt: ['votes', 3] }] },
    orderBy: [{ path: 'votes', direction: 'desc' }],
  });
  const titles: string[] = tasks.data.map(({ title }) => title);
  void tasks.insert({ title: 'Buy milk', done: false });
  void tasks.update('id', { done: true });
  void tasks.increment('id', 'votes');
  // @ts-expect-error: a field is missing
  void tasks.insert({ title: 'Buy milk' });
  // @ts-expect-error: no such field
  void tasks.update('id', { finished: true });
  // @ts-expect-error: not a number
  void tasks.increment('id', 'title');
  // @ts-expect-error: no such collection
  useCollection({ room: 'list:9', collection: 'todos' });
  // @ts-expect-error: no such room
  useCollection({ room: 'board:9', collection: 'tasks' });
  // @ts-expect-error: no such field
  useCollection({ room: 'list:9', collection: 'tasks', orderBy: [{ path: 'name' }] });
  // @ts-expect-error: not a boolean
  useCollection({ room: 'list:9', collection: 'tasks', filter: { eq: ['done', 1] } });

  const open = useCollection(
    { room: 'list:9', collection: 'tasks' },
    ({ data }) => data.filter(({ done }) => !done).length,
  );
  assertType<Equal<typeof open, number>>();
  useCollection(
    { room: 'list:9', collection: 'players' },
    // @ts-expect-error: a player is never done
    ({ data }) => data.filter(({ done }) => done as boolean).length,
  );

  const one = useDocument({ room: 'list:9', collection: 'players', id: 'a' });
  const name: string | undefined = one.data?.name;
  // @ts-expect-error: no such field
  consume(one.data?.title);
  // @ts-expect-error: the id is missing
  useDocument({ room: 'list:9', collection: 'players' });

  const pages = useInfiniteCollection({ room: 'list:9', collection: 'tasks', pageSize: 10 });
  const first: Task | undefined = pages.data[0];
  // @ts-expect-error: pages have a size, not a limit
  useInfiniteCollection({ room: 'list:9', collection: 'tasks', limit: 10 });

  const ready = useSuspenseCollection({ room: 'user:1', collection: 'tasks' });
  assertType<Equal<typeof ready.status, 'partial' | 'complete' | 'error'>>();
  const player: string | undefined = useSuspenseDocument({
    room: 'user:1',
    collection: 'players',
    id: 'a',
  }).data?.name;

  // A type that is told counts more than what is declared.
  const told = useCollection<{ at: number }>({ room: 'list:9', collection: 'tasks' });
  const at: number | undefined = told.data[0]?.at;

  usePresence('list:9');
  // @ts-expect-error: no such room
  usePresence('board:9');
  // @ts-expect-error: no such room
  useTyping('board:9');
  consume(titles, name, first, player, at);
  return null;
}

export function Events() {
  useSocketEvent('message:new', (message) => {
    assertType<Equal<typeof message, Message>>();
  });
  useSocketEvent({
    event: 'activity:deleted',
    onEvent: ({ activityId }) => {
      assertType<Equal<typeof activityId, string>>();
    },
    invalidateQueries: ({ activityId }) => [['activities', activityId]],
  });
  useSocketEvent('activity:*', (event) => {
    assertType<Equal<typeof event, string>>();
  });
  // @ts-expect-error: no such event
  useSocketEvent('message:gone', () => undefined);
  // @ts-expect-error: no such event
  useSocketEvent({ event: 'message:gone' });
  useSocketEvent('message:new', (message) => {
    // @ts-expect-error: no such field
    consume(message.subject);
  });

  const send = useSocketEmit('message:send', { timeoutMs: 5000 });
  const sent: Promise<{ id: string }> = send.emitWithAck('Hello');
  const emitted: Promise<EmitResult> = send.emit('Hello');
  // @ts-expect-error: not a text
  void send.emit(7);
  // @ts-expect-error: the text is missing
  void send.emitWithAck();
  // @ts-expect-error: no such event
  useSocketEmit('message:forget');
  consume(sent, emitted);
  return null;
}

export const client = createSyncClient({ url: 'https://sync.example.com' });
client.socket.on('message:new', ({ text }) => {
  assertType<Equal<typeof text, string>>();
});
// @ts-expect-error: no such event
client.socket.on('message:gone', () => undefined);
void client.socket.emit('typing:start', { chatId: '1' });
// @ts-expect-error: no such field
void client.socket.emit('typing:start', { chat: '1' });
void createSocket(client, { namespace: '/chat' })
  .emitWithAck('message:send', 'Hello')
  .then(({ id }) => consume(id));
