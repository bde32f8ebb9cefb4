import { createSyncClient } from '../src/index.ts';
import { Devices, until } from './support/devices.ts';
import { TestServer } from './support/server.ts';

/** Stands in for the Expo module: the same functions and the same event, over the Node addon. */
const mockModule: Record<string, unknown> = {};

jest.mock('expo', () => {
  const actual = jest.requireActual<typeof import('expo')>('expo');
  return {
    ...actual,
    requireNativeModule: (name: string): unknown =>
      name === 'Syncline' ? mockModule : actual.requireNativeModule(name),
  };
});

let server: TestServer;
let devices: Devices;

beforeAll(async () => {
  server = await TestServer.start();
  devices = new Devices();
  Object.assign(mockModule, devices.host, {
    addListener(event: string, listener: (payload: { client: number; events: string }) => void) {
      expect(event).toBe('onEvents');
      return {
        remove: devices.host.addEventsListener((client, events) => {
          listener({ client, events });
        }),
      };
    },
  });
});

afterAll(async () => {
  await devices.dispose();
  await server.dispose();
});

it('finds the core in the native module, and keeps the events of clients apart', async () => {
  const room = 'list:native';
  const ref = { room, collection: 'tasks' };
  const ada = createSyncClient(await devices.options(server, 'ada', [room]));
  const bob = createSyncClient(await devices.options(server, 'bob', [room]));
  await Promise.all([ada.connect(), bob.connect()]);
  await ada.insert({ ...ref, id: 'a' }, { title: 'x' });

  const { data } = await until(bob.watch(ref), ({ data: rows }) => rows.length === 1);
  expect(data).toEqual([{ id: 'a', title: 'x' }]);
  const users = [ada, bob].map((client) => until(client.connection, ({ userId }) => userId !== null));
  expect((await Promise.all(users)).map(({ userId }) => userId)).toEqual(['ada', 'bob']);
  await Promise.all([ada.close(), bob.close()]);
});
