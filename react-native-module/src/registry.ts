import type { CoreClient } from './core-client.ts';
import { SynclineError } from './error.ts';
import type { Host } from './host.ts';
import type { Auth, SyncOptions } from './options.ts';

/** A remount, as by Fast Refresh or StrictMode, comes within this time. */
const LINGER_MS = 50;

/** The leases by name and options. Being here means nothing: a render that is abandoned may leave one behind. */
const leases = new Map<string, Lease<CoreClient>>();

/** Per name, the one lease that may have the files open. */
const owners = new Map<string, Lease<CoreClient>>();

/** Of the clients that are made here, and not given by the app. */
const leaseOf = new WeakMap<CoreClient, Lease<CoreClient>>();

/** One holder's part: both may be called again and again. */
export interface Hold {
  readonly begin: () => void;
  readonly end: () => void;
}

/** What a client is made by. */
export type ClientClass<Client extends CoreClient> = new (
  options: SyncOptions,
  host: () => Host,
  before: () => Promise<void>,
) => Client;

/** A client that lives as long as someone holds it, and a little longer. */
export class Lease<Client extends CoreClient> {
  readonly client: Client;
  /** Of the last render. */
  auth: Auth | null = null;
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

  newHold(): Hold {
    let isHeld = false;
    return {
      begin: () => {
        if (isHeld) return;
        isHeld = true;
        this.#holders += 1;
        this.#stopLingering();
        this.#open();
      },
      end: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#holders -= 1;
        if (this.#holders === 0) this.#closeAfter(LINGER_MS);
      },
    };
  }

  /** Opens the client for who cannot hold it yet, and closes it again unless it is held by then. */
  wake(lingerMs: number): void {
    if (this.#holders > 0) return;
    this.client.setAuth(this.auth);
    this.#stopLingering();
    this.#open();
    this.#closeAfter(lingerMs);
  }

  #closeAfter(ms: number): void {
    this.#linger = setTimeout(() => {
      void this.client.close();
      this.#openRefused();
    }, ms);
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
  const lease =
    known?.client instanceof made ? (known as Lease<Client>) : new Lease(made, name, options, host);
  lease.auth = options.auth ?? null;
  leases.set(key, lease);
  leaseOf.set(lease.client, lease);
  return lease;
}

/**
 * A component that is suspended before it is shown needs this client for so long at least: its provider may be suspended
 * with it, and hold nothing. One that the app gave is the app's to open.
 */
export function wake(client: CoreClient, ms: number): void {
  leaseOf.get(client)?.wake(ms);
}
