// The connection's life: when to dial, when to give up, when to wait. The same states as the core's, without jitter:
// what waits, waits for as long as it may.
import type {
  AppState,
  ConnectionState,
  ConnectionStatus,
  DisconnectCause,
  Network,
  Settings,
} from '../contract.ts';
import { Failure } from './errors.ts';

/** What the core does as the session goes on. */
export interface SessionHooks {
  dial(): void;
  /** The connection, or the attempt at one, is over; `isGoodbye` when the server is to be told. */
  ended(isGoodbye: boolean): void;
  opened(): void;
}

export class Session {
  readonly #settings: Settings;
  readonly #hooks: SessionHooks;
  readonly #now: () => number;
  #state: ConnectionState = 'idle';
  /** When the state ends by itself. */
  #untilMs = Infinity;
  #wanted = false;
  /** Tasks that want a connection whatever the app's state is. */
  #tasks = 0;
  #attempts = 0;
  /** When an open session has lasted long enough for the backoff to begin anew. */
  #stableAtMs = Infinity;
  #suspendAtMs = Infinity;
  #reason: Failure | null = null;
  #cause: DisconnectCause | null = null;
  #data: unknown = null;
  #token: string | null;
  #app: AppState = 'active';
  #network: Network;
  userId: string | null = null;
  /** Whether the app has not been told of the present state. */
  isChanged = false;

  constructor(
    settings: Settings,
    token: string | null,
    network: Network,
    hooks: SessionHooks,
    now: () => number,
  ) {
    this.#settings = settings;
    this.#token = token;
    this.#network = network;
    this.#hooks = hooks;
    this.#now = now;
  }

  get token(): string | null {
    return this.#token;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get reason(): Failure | null {
    return this.#reason;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isNetworkAvailable(): boolean {
    return this.#network.available;
  }

  get isInBackground(): boolean {
    return this.#app === 'background';
  }

  /** In the background, past the time that it may still do something, and no task runs. */
  get isAtRest(): boolean {
    return this.#isSuspending && this.#tasks === 0;
  }

  /** Whether nothing but another token leads to a connection that is wanted now. */
  get needsToken(): boolean {
    return this.#state === 'unauthorized' && (this.#tasks > 0 || (this.#wanted && !this.#isSuspending));
  }

  get #isSuspending(): boolean {
    return this.isInBackground && this.#suspendAtMs === Infinity;
  }

  get #isActive(): boolean {
    return this.#state === 'connecting' || this.#state === 'open' || this.#state === 'closed';
  }

  get status(): ConnectionStatus {
    const waits = this.#state === 'backoff' || this.#state === 'offline';
    return {
      state: this.#state,
      reason: this.#reason?.body ?? null,
      cause: this.isOpen ? null : this.#cause,
      data: this.#data,
      recovered: false,
      attempts: this.isOpen ? 0 : this.#attempts,
      retryInMs: waits ? Math.max(0, this.#untilMs - this.#now()) : null,
      userId: this.userId,
    };
  }

  get nextMs(): number {
    const suspendAtMs = this.#tasks === 0 ? this.#suspendAtMs : Infinity;
    return Math.min(this.#untilMs, this.#stableAtMs, suspendAtMs);
  }

  connect(): void {
    this.#wanted = true;
    if (this.#isActive || (this.#state === 'offline' && !this.isNetworkAvailable)) return;
    if (this.isNetworkAvailable) this.#dial();
    else this.fail(noNetwork(), 'network_lost');
  }

  /** Without waiting, whatever the system says of the network. */
  syncNow(): void {
    this.#wanted = true;
    if (!this.#isActive) this.#dial();
  }

  beginTask(): void {
    this.#tasks += 1;
    if (!this.#isActive) this.#dial();
  }

  endTask(): void {
    this.#tasks -= 1;
    if (this.#tasks > 0 || ['idle', 'suspended', 'closed'].includes(this.#state)) return;
    if (!this.#wanted) {
      this.#end('idle', 'client_disconnect', true);
    } else if (this.isInBackground && this.#state !== 'unauthorized' && !(this.#suspendAtMs > this.#now())) {
      this.#suspendAtMs = Infinity;
      this.#end('suspended', 'suspended', false);
    }
  }

  disconnect(): void {
    this.#wanted = false;
    this.#reason = null;
    this.#end('idle', 'client_disconnect', true);
  }

  close(): void {
    this.#wanted = false;
    this.#end('closed', 'client_disconnect', true);
  }

  setToken(token: string | null): void {
    const isNew = token !== this.#token;
    this.#token = token;
    if (token === null) this.userId = null;
    if (this.#state === 'unauthorized' && token !== null) this.#dial();
    else if (isNew && (this.#state === 'open' || this.#state === 'connecting')) this.#redial('token_changed');
  }

  setAppState(app: AppState): void {
    const was = this.#app;
    this.#app = app;
    if (app === 'background') {
      if (was !== 'background') this.#suspendAtMs = this.#now() + this.#settings.backgroundGraceMs;
      return;
    }
    this.#suspendAtMs = Infinity;
    if (was === 'background' && ['suspended', 'backoff', 'offline'].includes(this.#state)) this.#dial();
  }

  setNetwork(network: Network): void {
    const was = this.#network;
    this.#network = network;
    const isNews = JSON.stringify(was) !== JSON.stringify(network);
    const isOtherRoute = !was.available || (was.kind !== network.kind && was.kind !== 'unknown');
    if (network.available) {
      if (['backoff', 'offline'].includes(this.#state) && isNews) this.#dial();
      else if (this.isOpen && isOtherRoute) this.#redial('network_changed');
    } else if (this.#state === 'backoff' || (this.#state === 'connecting' && was.available)) {
      this.fail(noNetwork(), 'network_lost');
    }
  }

  /** The server accepted the session. */
  accept(userId: string): void {
    if (this.#state !== 'connecting') return;
    this.#enter('open');
    this.#stableAtMs = this.#now() + this.#settings.reconnectDelayMsMax;
    this.#reason = null;
    this.#data = null;
    this.userId = userId;
    this.#hooks.opened();
  }

  /** The connection closed, the server refused, or there is none. */
  fail(error: Failure, cause: DisconnectCause, data: unknown = null): void {
    this.#reason = error;
    this.#data = data;
    this.#end(this.#stateAfter(error), cause, false);
  }

  #stateAfter(error: Failure): ConnectionState {
    const { code } = error;
    if (code === 'unauthorized' || code === 'no_auth_token') return 'unauthorized';
    // Refused for good: only another token can help.
    if (code === 'forbidden' && !this.isOpen) return 'unauthorized';
    if (!this.#wanted && this.#tasks === 0) return 'idle';
    if (this.isAtRest) return 'suspended';
    return this.isNetworkAvailable ? 'backoff' : 'offline';
  }

  tick(): void {
    const now = this.#now();
    if (this.#tasks === 0 && this.#suspendAtMs <= now) {
      this.#suspendAtMs = Infinity;
      if (this.#wanted && this.#state !== 'unauthorized' && this.#state !== 'closed') {
        this.#end('suspended', 'suspended', false);
        return;
      }
    }
    if (this.#stableAtMs <= now) {
      this.#stableAtMs = Infinity;
      this.#attempts = 0;
    }
    if (this.#untilMs > now) return;
    if (this.#state === 'connecting') {
      this.fail(new Failure('timeout', 'the server did not answer the handshake in time'), 'connect_timeout');
    } else {
      this.#dial();
    }
  }

  #dial(): void {
    if (this.#token === null && this.#settings.tokenRequired) {
      this.fail(new Failure('no_auth_token', 'no auth token is set'), 'unauthorized');
      return;
    }
    if (this.#isSuspending && this.#tasks === 0) {
      this.#suspendAtMs = this.#now() + this.#settings.backgroundGraceMs;
    }
    this.#enter('connecting', this.#settings.connectTimeoutMs);
    this.#hooks.dial();
  }

  #redial(cause: DisconnectCause): void {
    this.#hooks.ended(false);
    this.#cause = cause;
    this.#dial();
  }

  #end(state: ConnectionState, cause: DisconnectCause, isGoodbye: boolean): void {
    this.#cause = cause;
    if (state === 'backoff') this.#enter(state, this.#nextDelayMs());
    else this.#enter(state, state === 'offline' ? this.#settings.offlineProbeMs : Infinity);
    this.#hooks.ended(isGoodbye);
  }

  #nextDelayMs(): number {
    const { reconnectDelayMs, reconnectDelayMsMax, unsupportedRetryMs } = this.#settings;
    const isUnsupported = this.#reason?.code === 'unsupported_protocol';
    const delayMs = Math.min(
      reconnectDelayMs * 2 ** this.#attempts,
      Math.max(reconnectDelayMs, reconnectDelayMsMax),
    );
    if (!isUnsupported) this.#attempts += 1;
    return Math.max(isUnsupported ? unsupportedRetryMs : delayMs, this.#reason?.retryAfterMs ?? 0);
  }

  #enter(state: ConnectionState, forMs = Infinity): void {
    this.#state = state;
    this.#untilMs = this.#now() + forMs;
    this.#stableAtMs = Infinity;
    this.isChanged = true;
  }
}

function noNetwork(): Failure {
  return new Failure('offline', 'the system reports no network');
}
