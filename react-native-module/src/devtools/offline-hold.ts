import type { SyncClient } from '../client.ts';
import type { ConnectionState } from '../contract.ts';
import { type Observable, Store, type Unsubscribe } from '../observable.ts';

/** Nothing travels in these states, and nothing will without being asked for. */
const AT_REST: readonly ConnectionState[] = ['idle', 'closed'];

/** Keeps a client offline, also against an app that connects by itself; jobs wait meanwhile. */
export class OfflineHold {
  readonly #client: SyncClient;
  readonly #held = new Store(false);
  /** What is given back in the end. */
  #before: { readonly connected: boolean; readonly paused: boolean } | null = null;
  #stopWatching: Unsubscribe = () => undefined;

  constructor(client: SyncClient) {
    this.#client = client;
  }

  get isHeld(): Observable<boolean> {
    return this.#held;
  }

  async hold(): Promise<void> {
    if (this.#before) return;
    const { connection, queue } = this.#client;
    this.#before = { connected: !AT_REST.includes(connection.get().state), paused: queue.get().paused };
    this.#held.set(true);
    this.#stopWatching = connection.subscribe(() => {
      // Whatever failed is tried again with the next news; a client that was closed is offline.
      if (!AT_REST.includes(connection.get().state)) this.#cut().catch(() => undefined);
    });
    await this.#cut();
  }

  async release(): Promise<void> {
    const before = this.#before;
    if (!before) return;
    this.#before = null;
    this.#stopWatching();
    this.#held.set(false);
    if (!before.paused) await this.#client.queue.start();
    // What hinders the connection is seen in its state.
    if (before.connected) this.#client.connect().catch(() => undefined);
  }

  async #cut(): Promise<void> {
    await Promise.all([this.#client.disconnect(), this.#client.queue.stop()]);
  }
}
