import { asSynclineError, SynclineError } from './error.ts';

/** How long `getToken` may take. */
export const FETCH_TIMEOUT_MS = 30_000;

interface Flight {
  readonly token: Promise<string>;
  abandon(error: SynclineError): void;
}

/** Fetches tokens, one fetch at a time, when the core asks for them. */
export class TokenSource {
  readonly #fetch: () => Promise<string | null> | string | null;
  readonly #deliver: (token: string) => Promise<void>;
  readonly #report: (error: SynclineError) => void;
  readonly #fail: (error: SynclineError) => void;
  /** The fetch under way. Over once the token is there: a request that comes after is about that token. */
  #flight: Flight | null = null;
  /** The request that no fetch has begun for yet. */
  #request: object | null = null;

  constructor(
    fetch: () => Promise<string | null> | string | null,
    deliver: (token: string) => Promise<void>,
    report: (error: SynclineError) => void,
    fail: (error: SynclineError) => void,
  ) {
    this.#fetch = fetch;
    this.#deliver = deliver;
    this.#report = report;
    this.#fail = fail;
  }

  /** The core needs a token. It asks ever more slowly by itself while tokens do not lead to a connection. */
  request(): void {
    if (this.#flight || this.#request) return;
    const request = (this.#request = {});
    // After the events of the batch that it came in, and with no timer: whoever waits for promises only hears of it too.
    void Promise.resolve().then(() => {
      if (this.#request === request) void this.#fetchForCore();
    });
  }

  async #fetchForCore(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      const failure = asSynclineError(error);
      if (failure.code === 'closed') return;
      this.#report(failure);
      this.#fail(failure);
    }
  }

  /** Fetches and delivers a token now, or joins the fetch under way. Rejects when there is none. */
  async refresh(): Promise<void> {
    this.#request = null;
    this.#flight ??= this.#takeOff();
    await this.#deliver(await this.#flight.token);
  }

  /** Forgets every request: what is fetched for it goes nowhere. Those who wait for it are rejected with `closed`. */
  stop(): void {
    this.#request = null;
    const message = 'the token is not needed any more';
    this.#flight?.abandon(new SynclineError({ code: 'closed', message, retry: 'never' }));
    this.#flight = null;
  }

  #takeOff(): Flight {
    let abandon: Flight['abandon'] = () => undefined;
    const abandoned = new Promise<never>((_, reject) => (abandon = reject));
    const timer = setTimeout(() => {
      const message = `getToken did not answer within ${FETCH_TIMEOUT_MS} ms`;
      abandon(new SynclineError({ code: 'no_auth_token', message, retry: 'after_auth' }));
    }, FETCH_TIMEOUT_MS);
    const token = Promise.race([this.#run(), abandoned]).finally(() => {
      clearTimeout(timer);
      if (this.#flight === flight) this.#flight = null;
    });
    const flight = { token, abandon };
    return flight;
  }

  async #run(): Promise<string> {
    let token: string | null;
    try {
      token = await this.#fetch();
    } catch (cause) {
      const message = `getToken failed: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new SynclineError({ code: 'no_auth_token', message, retry: 'after_auth' }, { cause });
    }
    if (token === null) {
      // Signed out: asking again cannot help until the app signs in and connects.
      throw new SynclineError({ code: 'no_auth_token', message: 'getToken has no token', retry: 'never' });
    }
    return token;
  }
}
