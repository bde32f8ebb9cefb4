import type { CoreClient } from './core-client.ts';
import { SynclineError } from './error.ts';
import type { Host } from './host.ts';
import type { SyncOptions } from './options.ts';

/** A remount, as by Fast Refresh or StrictMode, comes within this time. */
const LINGER_MS = 50;

/** The leases by name and options. Being here means nothing: a render that is abandoned may leave one behind. */
const leases = new Map<string, Lease<CoreClient>>();

/** Per name, the one lease that may have the files open. */
const owners = new Map<string, Lease<CoreClient>>();

/** What a client is made by. */
export type ClientClass<Client extends CoreClient> = new (
  options: SyncOptions,
  host: () => Host,
  before: () => Promise<void>,
) => Client;

/** A client that lives as long as someone holds it, and a little longer. */
export class Lease<Client extends CoreClient> {
  readonly client: Client;
  readonly #name: string;
  #holders = 0;
  #linger: ReturnType<typeof setTimeout> | null = null;
  /** Until the owners before this one have closed the files. */
  #vacated: Promise<void> = Promise.resolve();

  constructor(made: ClientClass<Client>, name: string, options: SyncOptions, host: () => Host) {
    this.#name = name;
    this.client = new made(options, host, async () => {
      this.#own();
      await this.#vacated;
    });
  }

  hold(): void {
    this.#holders += 1;
    this.#stopLingering();
    this.#open();
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#linger = setTimeout(() => {
      void this.client.close();
      this.#openRefused();
    }, LINGER_MS);
  }

  #open(): void {
    // What hinders it is seen in the state of the connection.
    this.client.open().catch(() => undefined);
  }

  /** Takes the files over from the owner before, unless somebody still holds that one. */
  #own(): void {
    const owner = owners.get(this.#name);
    if (owner === this) return;
    if (owner && owner.#holders > 0) {
      const message = `the client ${this.#name} is in use with other options`;
      throw new SynclineError({ code: 'in_use', message, retry: 'later' });
    }
    owners.set(this.#name, this);
    if (owner) this.#vacated = owner.#vacate();
  }

  async #vacate(): Promise<void> {
    this.#stopLingering();
    await Promise.all([this.#vacated, this.client.close()]);
  }

  /** Those who were refused while this one was held. */
  #openRefused(): void {
    for (const other of leases.values()) {
      if (other !== this && other.#name === this.#name && other.#holders > 0) other.#open();
    }
  }

  #stopLingering(): void {
    if (this.#linger) clearTimeout(this.#linger);
    this.#linger = null;
  }
}

/**
 * The client of this name and these options: the same for every render. The files belong to one client of a name at a
 * time: another one opens them when nobody holds the first any more, and fails with `in_use` before.
 */
export function lease<Client extends CoreClient>(
  made: ClientClass<Client>,
  name: string,
  options: SyncOptions,
  fingerprint: string,
  host: () => Host,
): Lease<Client> {
  const key = JSON.stringify([name, fingerprint]);
  const known = leases.get(key);
  // One that can do more will do, too.
  if (known?.client instanceof made) return known as Lease<Client>;
  const lease = new Lease(made, name, options, host);
  leases.set(key, lease);
  return lease;
}
