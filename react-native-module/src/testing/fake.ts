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
  /** React's `act`: then what is rendered because of `advance` and `settle` is rendered when they resolve. */
  readonly act?: (work: () => Promise<void>) => PromiseLike<void>;
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
    userId = 'ada',
    rooms = 'all',
    act = (work: () => Promise<void>) => work(),
    ...others
  } = options;
  const { device = new FakeHost(() => server), ...config } = others;
  const auth = { token: server.token(userId, rooms) };
  return {
    client: new SyncClient({ auth, ...config, url: server.url }, () => device),
    server,
    device,
    advance: async (ms) => {
      await act(() => server.advance(ms));
    },
    settle: async () => {
      await act(() => server.settle());
    },
  };
}
