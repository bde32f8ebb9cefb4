// The native module as jest-expo finds it, by `mocks/Syncline.js`: apps are tested without any set-up.
import type { Parcel } from '../host.ts';
import type { SynclineModule } from '../native.ts';
import { FakeHost } from './host.ts';
import { FakeServer } from './server.ts';

const servers = new Map<string, FakeServer>();

/**
 * Whom the native module's stand-in reaches at an address: a server that holds nothing, until the test says so. It takes any
 * token.
 */
export function fakeServer(url: string): FakeServer {
  const { origin } = new URL(url);
  const server = servers.get(origin) ?? new FakeServer({ url: origin, trusts: 'any-token' });
  servers.set(origin, server);
  return server;
}

/** The device that the app under test runs on. */
export const fakeDevice = new FakeHost(fakeServer);

export const nativeModule: SynclineModule = {
  open: (config) => fakeDevice.open(config),
  call: (client, text, attachments) => fakeDevice.call(client, { text, attachments }),
  closeAll: () => fakeDevice.closeAll(),
  defaultDirectory: (name) => fakeDevice.defaultDirectory(name),
  // Nothing wakes a test up.
  isBackgroundPermitted: () => false,
  setLogSink: () => fakeDevice.setLogSink(),
  addListener(
    event: 'onSynclineEvents' | 'onSynclineLog',
    listener: (payload: { client: number; lines: string } & Parcel) => void,
  ) {
    if (event === 'onSynclineLog') return { remove: () => undefined };
    const remove = fakeDevice.addEventsListener((client, events) => {
      listener({ client, ...events, lines: '' });
    });
    return { remove };
  },
};
