import { asSynclineError, SynclineError } from './error.ts';

const RETRY_DELAY_MS_MIN = 1_000;
const RETRY_DELAY_MS_MAX = 30_000;

/** How long `getToken` may take. */
export const FETCH_TIMEOUT_MS = 30_000;

interface Flight {
  readonly token: Promise<string>;
  abandon(error: SynclineError): void;
}

/** Fetches tokens, one fetch at a time, ever more slowly while they do not lead to a connection. */
export class TokenSource {
  readonly #fetch: () => Promise<string | null> | string | null;
  readonly #deliver: (token: string) => Promise<void>;
  readonly #report: (error: SynclineError) => void;
  #attempts = 0;
  /** The fetch under way. Over once the token is there: a request that comes after is about that token. */
  #flight: Flight | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    fetch: () => Promise<string | null> | string | null,
    deliver: (token: string) => Promise<void>,
    report: (error: SynclineError) => void,
  ) {
    this.#fetch = fetch;
    this.#deliver = deliver;
    this.#report = report;
  }

  /** The core needs a token. The first is fetched at once, later ones after a growing delay. */
  request(): void {
    if (this.#flight || this.#timer) return;
    const delayMs =
      this.#attempts === 0 ? 0 : Math.min(RETRY_DELAY_MS_MIN * 2 ** (this.#attempts - 1), RETRY_DELAY_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.refresh().catch((error: unknown) => {
        const failure = asSynclineError(error);
        if (failure.code === 'closed') return;
        this.#report(failure);
        if (failure.retryable) this.request();
      });
    }, delayMs);
  }

  /** Fetches and delivers a token now, or joins the fetch under way. Rejects when there is none. */
  async refresh(): Promise<void> {
    this.#stopWaiting();
    this.#flight ??= this.#takeOff();
    await this.#deliver(await this.#flight.token);
  }

  /** A connection was made: the next request is served at once. */
  accepted(): void {
    this.#attempts = 0;
  }

  /** Forgets every request: what is fetched for it goes nowhere. Those who wait for it are rejected with `closed`. */
  stop(): void {
    this.#stopWaiting();
    const message = 'the token is not needed any more';
    this.#flight?.abandon(new SynclineError({ code: 'closed', message, retryable: false }));
    this.#flight = null;
    this.#attempts = 0;
  }

  #stopWaiting(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #takeOff(): Flight {
    this.#attempts += 1;
    let abandon: Flight['abandon'] = () => undefined;
    const abandoned = new Promise<never>((_, reject) => (abandon = reject));
    const timer = setTimeout(() => {
      const message = `getToken did not answer within ${FETCH_TIMEOUT_MS} ms`;
      abandon(new SynclineError({ code: 'no_auth_token', message, retryable: true }));
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
      throw new SynclineError({ code: 'no_auth_token', message, retryable: true }, { cause });
    }
    if (token === null) {
      // Signed out: asking again cannot help until the app signs in and connects.
      throw new SynclineError({ code: 'no_auth_token', message: 'getToken has no token', retryable: false });
    }
    return token;
  }
}
