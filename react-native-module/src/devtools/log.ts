import type { SyncClient } from '../client.ts';
import type { LogLevel, LogLine, TraceEvent, TraceKind } from '../contract.ts';
import { asSynclineError } from '../error.ts';
import { type Observable, Store, type Unsubscribe } from '../observable.ts';
import { LOG_MAX } from './protocol.ts';
import { History } from './sources.ts';

/** At which level the log tells of what the trace holds. */
const LEVEL_OF: Readonly<Record<TraceKind, LogLevel>> = {
  connect: 'info',
  connected: 'info',
  disconnected: 'info',
  hello: 'debug',
  token_needed: 'debug',
  token_set: 'debug',
  token_failed: 'warn',
  app_state: 'debug',
  network: 'debug',
  push: 'debug',
  pushed: 'debug',
  pull: 'debug',
  pulled: 'debug',
  live: 'trace',
  refused: 'debug',
  rejected: 'info',
  conflict: 'debug',
  error: 'warn',
};

/** The core's log while a panel is open; what was before is taken from the trace. */
export class LogSource {
  readonly history = new History<LogLine>(LOG_MAX);
  readonly level = new Store<LogLevel>('debug');
  readonly #client: SyncClient;
  readonly #error = new Store<string | null>(null);
  readonly #onLine: () => void;
  #end: Unsubscribe | null = null;

  constructor(client: SyncClient, onLine: () => void) {
    this.#client = client;
    this.#onLine = onLine;
  }

  get error(): Observable<string | null> {
    return this.#error;
  }

  begin(): void {
    const now = Date.now();
    this.#listen();
    const since = this.history.all.at(-1)?.atMs ?? 0;
    this.#client.trace().then(
      (events) => {
        this.#seed(events.filter(({ atMs }) => atMs > since && atMs < now));
      },
      // A client that is not open has no trace.
      () => undefined,
    );
  }

  end(): void {
    this.#end?.();
    this.#end = null;
  }

  setLevel(level: LogLevel): void {
    this.level.set(level);
    if (!this.#end) return;
    this.end();
    this.#listen();
  }

  #listen(): void {
    try {
      this.#end = this.#client.onLog(this.level.get(), (line) => {
        this.history.add(line);
        this.#onLine();
      });
      this.#error.set(null);
    } catch (error) {
      this.#error.set(asSynclineError(error).message);
    }
  }

  #seed(events: readonly TraceEvent[]): void {
    const lines = events.map(({ atMs, kind, detail }) => ({
      atMs,
      level: LEVEL_OF[kind],
      target: 'trace',
      event: `syncline.${kind}`,
      message: detail,
      dropped: 0,
    }));
    this.history.add(...lines);
    this.#onLine();
  }
}
