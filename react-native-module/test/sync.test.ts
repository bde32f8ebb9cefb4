import { createSyncClient, type SyncClient } from '../src/index.ts';
import { unique, until } from './support/devices.ts';
import { itOfCore, worldFor } from './support/world.ts';

const DEADLINE_MS = 10_000;

const world = worldFor('test');

/** A client that keeps the room in sync, but connects only when told. */
async function offline(user: string, room: string, more = {}): Promise<SyncClient> {
  const client = await world.client(user, [room], { autoConnect: false, ...more });
  client.subscribe(room);
  await client.open();
  return client;
}

it('brings and fetches everything in one round, and is disconnected as before', async () => {
  const room = unique('list');
  const [ada, bob] = await Promise.all([offline('ada', room), offline('bob', room)]);
  const written = ada.insert({ room, collection: 'tasks', id: 'a' }, { title: 'one' });

  const report = await ada.syncOnce({ deadlineMs: DEADLINE_MS });
  await written;
  expect(report).toEqual({ complete: true, pending: 0, reason: null });
  expect(await bob.syncOnce({ deadlineMs: DEADLINE_MS })).toMatchObject({ complete: true });
  expect(await bob.document({ room, collection: 'tasks', id: 'a' })).toEqual({ id: 'a', title: 'one' });
  await until(bob.connection, ({ state }) => state === 'idle');
});

it('fetches its token for a round', async () => {
  const room = unique('list');
  const options = await world.options('ada', [room]);
  const getToken = () => world.server.token('ada', [room]);
  const client = createSyncClient({ ...options, auth: { getToken }, autoConnect: false }, world.devices.host);
  client.subscribe(room);
  expect(await client.syncOnce({ deadlineMs: DEADLINE_MS })).toMatchObject({ complete: true });
});

it('reports at the deadline what a round could not do', async () => {
  const room = unique('list');
  const ada = await offline('ada', room);
  await world.server.stop();
  await ada.insert({ room, collection: 'tasks' }, { title: 'one' });
  const report = await ada.syncOnce({ deadlineMs: 50 });
  expect(report).toMatchObject({ complete: false, pending: 1 });
  expect(report.reason?.retryable).toBe(true);
});

it('flushes what waits to be sent, and pulls what others wrote', async () => {
  const room = unique('list');
  const slow = { collections: { tasks: { pushDebounceMs: 600_000 } } };
  const [ada, bob] = await Promise.all([offline('ada', room, slow), offline('bob', room)]);
  await expect(bob.pull(room)).rejects.toMatchObject({ code: 'offline' });
  await Promise.all([ada.connect(), bob.connect()]);

  await ada.insert({ room, collection: 'tasks', id: 'a' }, { likes: 0 });
  expect(ada.queue.get()).toMatchObject({ processing: false });
  const written = ada.update({ room, collection: 'tasks', id: 'a' }, { likes: 1 });
  await ada.flush();
  await written;
  await bob.pull();
  expect(await bob.document({ room, collection: 'tasks', id: 'a' })).toEqual({ id: 'a', likes: 1 });
});

itOfCore('makes one write of edits that wait, unless the collection keeps them apart', async () => {
  const room = unique('list');
  const ada = await offline('ada', room, { collections: { log: { coalesce: false } } });
  const edit = (collection: string, title: string) =>
    ada.write([{ room, collection, id: 'a', write: { update: { title: { set: title } } } }]);
  const [[first], [second]] = [await edit('tasks', 'one'), await edit('tasks', 'two')];
  expect(second).toBe(first);
  const [[third], [fourth]] = [await edit('log', 'one'), await edit('log', 'two')];
  expect(fourth).not.toBe(third);
});
