import { waitFor } from '@testing-library/react-native';

import { createSyncClient, type LogLine, type Parcel, setLogger, SynclineError } from '../src/index.ts';
import { until } from './support/devices.ts';
import { worldFor } from './support/world.ts';

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

const world = worldFor('file');

beforeAll(() => {
  const toLog = new Set<(payload: { lines: string }) => void>();
  Object.assign(mockModule, world.devices.host, {
    call: (client: number, text: string, attachments: Parcel['attachments']) =>
      world.devices.host.call(client, { text, attachments }),
    addListener(event: string, listener: (payload: object) => void) {
      if (event === 'onSynclineLog') {
        toLog.add(listener);
        return { remove: () => toLog.delete(listener) };
      }
      expect(event).toBe('onSynclineEvents');
      return {
        remove: world.devices.host.addEventsListener((client, events) => {
          listener({ client, ...events });
        }),
      };
    },
    setLogSink(level: string, isWanted: boolean) {
      const tell = (lines: string) => {
        for (const listener of [...toLog]) listener({ lines });
      };
      return world.devices.host.setLogSink?.(level, isWanted ? tell : null);
    },
  });
});

it('finds the core in the native module, and keeps the events of clients apart', async () => {
  const room = 'list:native';
  const ref = { room, collection: 'tasks' };
  const ada = createSyncClient(await world.options('ada', [room]));
  const bob = createSyncClient(await world.options('bob', [room]));
  await Promise.all([ada.connect(), bob.connect()]);
  await ada.insert({ ...ref, id: 'a' }, { title: 'x' });

  const { data } = await until(bob.watch(ref), ({ data: rows }) => rows.length === 1);
  expect(data).toEqual([{ id: 'a', title: 'x' }]);
  const users = [ada, bob].map((client) => until(client.connection, ({ userId }) => userId !== null));
  expect((await Promise.all(users)).map(({ userId }) => userId)).toEqual(['ada', 'bob']);
  await Promise.all([ada.close(), bob.close()]);
});

it("hands the core's log over until it is told to stop", async () => {
  const lines: LogLine[] = [];
  setLogger('debug', (line) => lines.push(line));
  const client = createSyncClient(await world.options('ada', ['list:log']));
  await client.connect();
  await waitFor(() => {
    expect(lines.map(({ event }) => event)).toContain('syncline.connected');
  });
  setLogger('off', null);
  const heard = lines.length;
  await client.close();
  expect(lines).toHaveLength(heard);
  expect(() => {
    setLogger('loud' as 'debug', () => undefined);
  }).toThrow(SynclineError);
});

it('refuses what only a phone can keep', async () => {
  const client = createSyncClient({
    ...(await world.options('ada', ['list:kept'])),
    encryption: 'device',
  });
  await expect(client.open()).rejects.toMatchObject({ code: 'invalid' });
});
