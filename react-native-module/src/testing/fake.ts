import { SyncClient } from '../client.ts';
import type { SyncOptions } from '../options.ts';
import { FakeHost } from './host.ts';
import { FakeServer } from './server.ts';

export interface FakeClientOptions extends Omit<Partial<SyncOptions>, 'url'> {
  /** Whom it talks to; a server of its own when absent. */
  readonly server?: FakeServer;
  /** The device that it runs on: clients of one device and one name share their data, as after a restart of the app. */
  readonly device?: FakeHost;
  /** Whose token it has, unless `auth` says otherwise; `ada` when absent. */
  readonly userId?: string;
  /** The rooms that the token is for, beside the user's own; all when absent. */
  readonly rooms?: 'all' | readonly string[];
}

/** A real client over a fake core, with all that a test does to it. */
export interface FakeClient {
  readonly client: SyncClient;
  readonly server: FakeServer;
  readonly device: FakeHost;
  /** Lets time pass, and everything happen that is due within it. */
  advance(ms: number): Promise<void>;
  /** Resolves when nothing more happens without time passing. */
  settle(): Promise<void>;
}

export function createFakeClient(options: FakeClientOptions = {}): FakeClient {
  const {
    server = new FakeServer(),
    device = new FakeHost(() => server),
    userId = 'ada',
    rooms,
    ...others
  } = options;
  const auth = { token: server.token(userId, rooms) };
  return {
    client: new SyncClient({ auth, ...others, url: server.url }, () => device),
    server,
    device,
    advance: (ms) => server.advance(ms),
    settle: () => server.settle(),
  };
}
