import type { Settings } from '../contract.ts';

/** When another token is asked for: ahead of the expiry of the one there is, or after a refusal; one request at a time. */
export class Tokens {
  readonly #settings: Settings;
  readonly #now: () => number;
  #expiresAtMs = Infinity;
  /** The request under way, and until when it may be answered. */
  #pending: { readonly request: number; readonly deadlineMs: number } | null = null;
  #lastRequest = 0;
  #failures = 0;
  #notBeforeMs = 0;
  /** Whether the provider said that it has none: only the app can change that. */
  #isSignedOut = false;
  nextMs = Infinity;

  constructor(settings: Settings, token: string | null, now: () => number) {
    this.#settings = settings;
    this.#now = now;
    this.#take(token);
  }

  #take(token: string | null, expiresAtMs?: number | null): void {
    this.#expiresAtMs = token === null ? Infinity : (expiresAtMs ?? claims(token)?.expMs ?? Infinity);
  }

  set(token: string | null, expiresAtMs?: number | null): void {
    if (this.#pending) this.#delay();
    this.#pending = null;
    this.#isSignedOut = token === null;
    this.#take(token, expiresAtMs);
  }

  /** The provider failed. */
  fail(request: number | null, isRetryable: boolean): void {
    if (!this.#pending || (request !== null && request !== this.#pending.request)) return;
    this.#pending = null;
    this.#isSignedOut = !isRetryable;
    this.#delay();
  }

  #delay(): void {
    const { tokenRetryDelayMs, tokenRetryDelayMsMax } = this.#settings;
    this.#notBeforeMs = this.#now() + Math.min(tokenRetryDelayMs * 2 ** this.#failures, tokenRetryDelayMsMax);
    this.#failures += 1;
  }

  /** A session is open with the token, or the app asks for a connection: the next request goes out at once. */
  reset(): void {
    this.#failures = 0;
    this.#notBeforeMs = 0;
    this.#isSignedOut = false;
  }

  get #refreshAtMs(): number {
    return this.#expiresAtMs - this.#settings.tokenRefreshAheadMs;
  }

  accepted(): void {
    if (this.#refreshAtMs > this.#now()) this.reset();
  }

  cancel(): void {
    this.#pending = null;
    this.reset();
  }

  /** The number of a request to be made now; null when none is. */
  poll(isRefused: boolean, isUsed: boolean): number | null {
    const now = this.#now();
    this.nextMs = Infinity;
    if (this.#pending && this.#pending.deadlineMs <= now) {
      this.#pending = null;
      this.#delay();
    }
    if ((!isRefused && !isUsed) || this.#isSignedOut) return null;
    const dueMs = this.#pending
      ? this.#pending.deadlineMs
      : Math.max(isRefused ? 0 : this.#refreshAtMs, this.#notBeforeMs);
    if (this.#pending || dueMs > now) {
      this.nextMs = dueMs;
      return null;
    }
    this.#lastRequest += 1;
    this.nextMs = now + this.#settings.tokenTimeoutMs;
    this.#pending = { request: this.#lastRequest, deadlineMs: this.nextMs };
    return this.#lastRequest;
  }
}

/** What a JSON Web Token says of its user and its end. */
export function claims(token: string): { readonly sub: string | null; readonly expMs: number | null } | null {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return null;
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
      char.charCodeAt(0),
    );
    const said = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; exp?: unknown };
    return {
      sub: typeof said.sub === 'string' ? said.sub : null,
      expMs: typeof said.exp === 'number' ? said.exp * 1000 : null,
    };
  } catch {
    return null;
  }
}
