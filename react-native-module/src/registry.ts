import { SyncClient } from './client.ts';
import type { Host } from './host.ts';
import type { SyncOptions } from './options.ts';

/** A remount, as by Fast Refresh or StrictMode, comes within this time. */
const LINGER_MS = 50;

/** A client that lives as long as someone holds it, and a little longer. */
export class Lease {
  readonly client: SyncClient;
  readonly fingerprint: string;
  #holders = 0;
  #linger: ReturnType<typeof setTimeout> | null = null;
  #waiters: (() => void)[] = [];

  constructor(options: SyncOptions, fingerprint: string, host: () => Host, predecessor: Lease | undefined) {
    this.fingerprint = fingerprint;
    let before = predecessor;
    this.client = new SyncClient(options, host, async () => {
      await before?.whenClosed();
      // Needed once: the chain of predecessors must not grow for ever.
      before = undefined;
    });
  }

  hold(): void {
    this.#holders += 1;
    if (this.#linger) clearTimeout(this.#linger);
    this.#linger = null;
    // What hinders it is seen in the state of the connection.
    this.client.open().catch(() => undefined);
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#linger = setTimeout(() => {
      this.#linger = null;
      for (const resolve of this.#waiters) resolve();
      this.#waiters = [];
    }, LINGER_MS);
    void this.#whenUnheld().then(() => (this.#holders === 0 ? this.client.close() : undefined));
  }

  /** Resolves when nobody holds the client and its files are closed. */
  async whenClosed(): Promise<void> {
    await this.#whenUnheld();
    await this.client.close();
  }

  #whenUnheld(): Promise<void> {
    if (this.#holders === 0 && !this.#linger) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

const leases = new Map<string, Lease>();

/**
 * The one client of this name. Different options make a new one, which opens its files when the one before has
 * closed them.
 */
export function lease(name: string, options: SyncOptions, fingerprint: string, host: () => Host): Lease {
  const current = leases.get(name);
  if (current?.fingerprint === fingerprint) return current;
  const next = new Lease(options, fingerprint, host, current);
  leases.set(name, next);
  return next;
}
