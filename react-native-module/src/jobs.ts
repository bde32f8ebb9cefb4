import type { Channel } from './channel.ts';
import type {
  Category,
  DeadLetter,
  Enqueued,
  JobCommand,
  JobError,
  JobEvent,
  JobInfo,
  JobKind,
  JobOutcome,
  JobWork,
  NewJob,
  ProcessReport,
  QueueStatus,
} from './contract.ts';
import { SynclineError } from './error.ts';
import { JobList } from './job-list.ts';
import { encodeWork, withDecodedResult, withDecodedWork } from './job-values.ts';
import { combine, type Observable, Store, type Unsubscribe } from './observable.ts';
import { fromPortable, portable } from './portable.ts';

/** What a handler is told besides its payload. */
export interface HandlerContext {
  readonly job: number;
  /** The same in every attempt: pass it on, so that the backend recognizes a repetition. */
  readonly idempotencyKey: string;
  /** Attempts used up before. */
  readonly attempts: number;
}

export type JobHandler = (payload: unknown, context: HandlerContext) => Promise<unknown>;

/** How a job ended. */
export type JobEnd =
  | { readonly type: 'done'; readonly outcome: JobOutcome }
  | { readonly type: 'dead'; readonly letter: DeadLetter }
  /** The app dropped it, or cleared the queue. */
  | { readonly type: 'dropped' };

/** Thrown by a handler to say what its failure means. */
export class JobFailure extends Error {
  readonly category: Category;
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    category: Category,
    message: string,
    { code = '', retryAfterMs }: { readonly code?: string; readonly retryAfterMs?: number } = {},
  ) {
    super(message);
    this.name = 'JobFailure';
    this.category = category;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What the documents of many backends call a queued request. */
export interface QueuedRequest {
  readonly endpoint: string;
  readonly method?: string | undefined;
  /** Bytes are sent as they are, anything else as JSON. */
  readonly data?: unknown;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export type JobOptions = Omit<NewJob, 'work'>;

interface JobResults {
  enqueue: { enqueued: Enqueued[] };
  list: { jobs: JobInfo[]; more: boolean };
  deadLetters: { deadLetters: DeadLetter[] };
  outcomes: { outcomes: JobOutcome[] };
  clear: { cleared: number };
  process: ProcessReport;
  extendLease: { leaseMs: number };
}

type ResultOf<Type extends JobCommand['type']> = Type extends keyof JobResults ? JobResults[Type] : unknown;

/** The durable queue: what waits, as an observable, and everything an app can do about it. */
export class JobQueue implements Observable<QueueStatus> {
  readonly #open: () => Promise<Channel>;
  readonly #status: Observable<QueueStatus>;
  readonly #jobs: JobList;
  readonly #deadLetters = new Store<readonly DeadLetter[]>([]);
  readonly #handlers = new Map<string, JobHandler>();
  readonly #waiting = new Map<number, (end: JobEnd) => void>();
  /** Ends that were told while the numbers of new jobs were on their way. */
  readonly #early = new Map<number, JobEnd>();
  #enqueuing = 0;
  /** Keeps jobs in the order in which they were asked for, as hosts may reorder concurrent calls. */
  #lastSent: Promise<unknown> = Promise.resolve();
  /** The open channel. */
  #attached: Channel | null = null;

  constructor(open: () => Promise<Channel>, status: Observable<QueueStatus>) {
    this.#open = open;
    this.#status = status;
    // Writes are no jobs.
    const figures = combine([status], ({ events, requests, handlers, processing }: QueueStatus) =>
      [events, requests, handlers, processing].join(),
    );
    this.#jobs = new JobList(() => this.list(), figures);
  }

  readonly get = (): QueueStatus => this.#status.get();

  readonly subscribe = (listener: () => void): Unsubscribe => this.#status.subscribe(listener);

  /** Jobs that were given up, until they are retried or dropped. */
  get deadLetters(): Observable<readonly DeadLetter[]> {
    return this.#deadLetters;
  }

  /** Jobs that have not ended, read anew with every change of the queue while somebody looks. */
  get jobs(): Observable<readonly JobInfo[]> {
    return this.#jobs;
  }

  /**
   * Hears of the end of a job that was queued earlier, as before a restart, and is among `jobs`. False when it is not, or
   * when somebody hears of it already.
   */
  adopt(job: number, onEnd: (end: JobEnd) => void): boolean {
    // One that is being queued belongs to whoever queues it.
    if (this.#enqueuing > 0 || this.#waiting.has(job)) return false;
    if (!this.#jobs.get().some((known) => known.job === job)) return false;
    this.#waiting.set(job, onEnd);
    return true;
  }

  /** Resolves when the job is on disk, connected or not. `onEnd` hears of its end while this client is open. */
  async enqueue(job: NewJob, onEnd?: (end: JobEnd) => void): Promise<Enqueued> {
    this.#enqueuing += 1;
    try {
      const jobs = [{ ...job, work: encodeWork(job.work) }];
      const sent = this.#lastSent.then(() => this.#call({ type: 'enqueue', jobs }));
      this.#lastSent = sent.catch(() => undefined);
      const { enqueued } = await sent;
      const [accepted] = enqueued as [Enqueued];
      if (onEnd) this.#await(accepted.job, onEnd);
      this.#jobs.refresh();
      return accepted;
    } finally {
      this.#enqueuing -= 1;
      if (this.#enqueuing === 0) this.#early.clear();
    }
  }

  /** Queues an HTTP request; POST unless `method` says otherwise. */
  add({ endpoint, method, data, headers }: QueuedRequest, options: JobOptions = {}): Promise<Enqueued> {
    return this.enqueue({ ...options, work: requestWork({ endpoint, method, data, headers }) });
  }

  /** Queues a Socket.IO event, sent until the server acknowledges it. */
  emit(name: string, args: readonly unknown[] = [], options: JobOptions = {}): Promise<Enqueued> {
    return this.enqueue({ ...options, work: { event: { name, args: [...args] } } });
  }

  /** Jobs that have not ended, by their numbers. */
  async list(): Promise<JobInfo[]> {
    const all: JobInfo[] = [];
    for (;;) {
      const { jobs, more } = await this.#call({ type: 'list', after: all.at(-1)?.job ?? 0 });
      all.push(...jobs.map(withDecodedWork));
      if (!more) return all;
    }
  }

  /** Results that were asked to be kept. */
  async outcomes(): Promise<JobOutcome[]> {
    return (await this.#call({ type: 'outcomes' })).outcomes.map(withDecodedResult);
  }

  async acknowledge(job: number): Promise<void> {
    await this.#call({ type: 'acknowledge', job });
  }

  /** Queues a dead letter again, as it was or doing `work` instead. */
  async retry(job: number, work?: JobWork): Promise<void> {
    const letter = this.#letter(job);
    await this.#call({ type: 'retry', job, ...(work && { work: encodeWork(work) }) });
    this.#forgetLetter(letter);
    this.#jobs.refresh();
  }

  /** A job that waits does this instead. */
  async edit(job: number, work: JobWork): Promise<void> {
    await this.#call({ type: 'edit', job, work: encodeWork(work) });
  }

  /** Forgets a job that waits, or a dead letter. */
  async drop(job: number): Promise<void> {
    const letter = this.#letter(job);
    await this.#call({ type: 'drop', job });
    this.#end(job, { type: 'dropped' });
    this.#forgetLetter(letter);
  }

  /** Forgets jobs that are not under way; resolves to how many. */
  async clear({
    kinds,
    deadLetters = false,
  }: { kinds?: JobKind[]; deadLetters?: boolean } = {}): Promise<number> {
    const { cleared } = await this.#call({ type: 'clear', deadLetters, ...(kinds && { kinds }) });
    if (deadLetters) await this.#refreshLetters();
    if (this.#waiting.size > 0) await this.#endCleared();
    return cleared;
  }

  /** Tries each job at most once. */
  process(): Promise<ProcessReport> {
    return this.#call({ type: 'process' });
  }

  /** Jobs are done without being asked for: so it is unless `stop` was called. */
  async start(): Promise<void> {
    await this.#call({ type: 'setAuto', enabled: true });
  }

  /** Jobs are done only by `process`, until `start` or the next opening. */
  async stop(): Promise<void> {
    await this.#call({ type: 'setAuto', enabled: false });
  }

  /** Runs jobs of this key from now on, until the returned function is called. The last function of a key counts. */
  handle(key: string, handler: JobHandler): Unsubscribe {
    this.#handlers.set(key, handler);
    // A client that cannot be opened says so elsewhere; opening it registers again.
    this.#open().then(
      (channel) => {
        this.#register(channel);
      },
      () => undefined,
    );
    return () => {
      if (this.#handlers.get(key) !== handler) return;
      this.#handlers.delete(key);
      // What ends opens no client: somebody else may have taken the files over.
      if (this.#attached) this.#register(this.#attached);
    };
  }

  /** The client is open. */
  attach(channel: Channel): void {
    this.#attached = channel;
    if (this.#handlers.size > 0) this.#register(channel);
    this.#refreshLetters().catch(() => undefined);
    this.#jobs.refresh();
  }

  /** The client is closing. */
  detach(): void {
    this.#attached = null;
  }

  handleEvent(event: JobEvent): void {
    switch (event.type) {
      case 'leased':
        void this.#run(event);
        break;
      case 'done':
        this.#end(event.outcome.job, { type: 'done', outcome: withDecodedResult(event.outcome) });
        break;
      case 'dead':
        this.#handleDead(withDecodedWork(event.letter));
        break;
      case 'failed':
        this.#jobs.refresh();
        break;
    }
  }

  #handleDead(letter: DeadLetter): void {
    this.#deadLetters.set([...this.#deadLetters.get().filter(({ job }) => job !== letter.job), letter]);
    this.#end(letter.job, { type: 'dead', letter });
  }

  async #run(lease: Extract<JobEvent, { type: 'leased' }>): Promise<void> {
    const { job, lease: number, key, payload, idempotencyKey, attempts, leaseMs } = lease;
    const holder = { job, lease: number };
    const extending = setInterval(() => {
      this.#call({ type: 'extendLease', ...holder }).catch(() => undefined);
    }, leaseMs / 2);
    try {
      const handler = this.#handlers.get(key);
      if (!handler) throw new JobFailure('NETWORK', 'the handler is not registered any more');
      const result = await handler(fromPortable([payload])[0], { job, idempotencyKey, attempts });
      await this.#call({ type: 'complete', ...holder, result: portable(result, 'the result') });
    } catch (error) {
      // When the lease is over, somebody else has the job.
      await this.#call({ type: 'fail', ...holder, ...failureOf(error) }).catch(() => undefined);
    } finally {
      clearInterval(extending);
    }
  }

  #await(job: number, onEnd: (end: JobEnd) => void): void {
    const early = this.#early.get(job);
    if (early) {
      onEnd(early);
      return;
    }
    const others = this.#waiting.get(job);
    this.#waiting.set(job, (end) => {
      others?.(end);
      onEnd(end);
    });
  }

  #end(job: number, end: JobEnd): void {
    this.#jobs.handleEnd(job);
    if (this.#enqueuing > 0) this.#early.set(job, end);
    const waiting = this.#waiting.get(job);
    this.#waiting.delete(job);
    waiting?.(end);
  }

  #register(channel: Channel): void {
    const command: JobCommand = { type: 'registerHandlers', keys: [...this.#handlers.keys()] };
    channel.call({ type: 'jobs', command }).catch(() => undefined);
  }

  /** The core says how many were cleared, not which: those that it does not know any more. */
  async #endCleared(): Promise<void> {
    const awaited = [...this.#waiting.keys()];
    const known = new Set((await this.list()).map(({ job }) => job));
    for (const job of awaited) if (!known.has(job)) this.#end(job, { type: 'dropped' });
  }

  #letter(job: number): DeadLetter | undefined {
    return this.#deadLetters.get().find((letter) => letter.job === job);
  }

  /** This letter only: the job may have been given up once more meanwhile. */
  #forgetLetter(forgotten: DeadLetter | undefined): void {
    if (forgotten) this.#deadLetters.set(this.#deadLetters.get().filter((letter) => letter !== forgotten));
  }

  async #refreshLetters(): Promise<void> {
    const { version } = this.#deadLetters;
    const { deadLetters } = await this.#call({ type: 'deadLetters' });
    if (this.#deadLetters.version === version) this.#deadLetters.set(deadLetters.map(withDecodedWork));
    else await this.#refreshLetters();
  }

  async #call<C extends JobCommand>(command: C): Promise<ResultOf<C['type']>> {
    const channel = await this.#open();
    return (await channel.call({ type: 'jobs', command })) as ResultOf<C['type']>;
  }
}

export function requestWork({ endpoint, method = 'POST', data, headers }: QueuedRequest): JobWork {
  return {
    request: {
      method,
      url: endpoint,
      ...(headers && { headers: { ...headers } }),
      ...(data !== undefined && { body: data }),
    },
  };
}

/** What a handler's error means: what it says itself, by an HTTP status, or as `fetch` fails without a network. */
function failureOf(error: unknown): Omit<Extract<JobCommand, { type: 'fail' }>, 'type' | 'job' | 'lease'> {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof JobFailure) {
    const { category, code, retryAfterMs } = error;
    return { category, code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  // A result that cannot be kept: another attempt would do it all once more, and end as this one.
  if (error instanceof SynclineError && error.code === 'invalid') {
    return { category: 'VALIDATION', code: error.code, message };
  }
  const status = (error as { status?: unknown } | null)?.status;
  if (typeof status === 'number') return { category: categoryOf(status), code: String(status), message };
  return { category: error instanceof TypeError ? 'NETWORK' : 'UNKNOWN', message };
}

function categoryOf(status: number): JobError['category'] {
  if (status === 401) return 'AUTH';
  if (status === 408) return 'NETWORK';
  if (status === 409) return 'CONFLICT';
  if (status === 425 || status === 429 || status >= 500) return 'SERVER';
  return status >= 300 ? 'VALIDATION' : 'UNKNOWN';
}
