import type { Channel } from './channel.ts';
import type {
  DeadLetter,
  Enqueued,
  JobCommand,
  JobEvent,
  JobInfo,
  JobKind,
  JobOutcome,
  JobWork,
  NewJob,
  ProcessReport,
  QueueStatus,
} from './contract.ts';
import { complain, guarded, type Report } from './guard.ts';
import { type JobHandler, JobHandlers } from './job-handlers.ts';
import { JobList } from './job-list.ts';
import { encodeWork } from './job-values.ts';
import { combine, type Observable, Store, type Unsubscribe } from './observable.ts';

/** How a job ended. */
export type JobEnd =
  | { readonly type: 'done'; readonly outcome: JobOutcome }
  | { readonly type: 'dead'; readonly letter: DeadLetter }
  /** The app dropped it, or cleared the queue. */
  | { readonly type: 'dropped' };

/** Who waits for ends of jobs, and may be gone before they come. */
export interface JobWaiter {
  /** Only one of the same kind takes over from one that is gone. */
  readonly kind: string;
  readonly isGone: () => boolean;
  /** Another one waits for one of its jobs. */
  readonly onTaken: () => void;
}

interface Waiting {
  readonly onEnd: (end: JobEnd) => void;
  readonly waiter: JobWaiter | undefined;
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
  readonly #deadLetters: Store<readonly DeadLetter[]>;
  readonly #report: Report;
  readonly #handlers = new JobHandlers((command) => this.#call(command));
  readonly #waiting = new Map<number, readonly Waiting[]>();
  /** Ends that were told while the numbers of new jobs were on their way. */
  readonly #early = new Map<number, JobEnd>();
  #enqueuing = 0;
  readonly #enqueued: Store<number>;
  /** Keeps jobs in the order in which they were asked for, as hosts may reorder concurrent calls. */
  #lastSent: Promise<unknown> = Promise.resolve();
  /** The open channel. */
  #attached: Channel | null = null;

  constructor(open: () => Promise<Channel>, status: Observable<QueueStatus>, report: Report = complain) {
    this.#open = open;
    this.#report = report;
    this.#deadLetters = new Store<readonly DeadLetter[]>([], report);
    this.#enqueued = new Store(0, report);
    this.#status = status;
    // Writes are no jobs.
    const figures = combine([status], ({ events, requests, handlers, processing }: QueueStatus) =>
      [events, requests, handlers, processing].join(),
    );
    this.#jobs = new JobList(() => this.list(), figures, report);
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
   * when somebody hears of it already who is not gone.
   */
  adopt(job: number, onEnd: (end: JobEnd) => void, waiter?: JobWaiter): boolean {
    // One that is being queued belongs to whoever queues it.
    if (this.#enqueuing > 0) return false;
    const before = this.#waiting.get(job) ?? [];
    const isLeft = (one: JobWaiter | undefined) => one?.kind === waiter?.kind && one?.isGone() === true;
    if (!before.every((one) => isLeft(one.waiter))) return false;
    if (!this.#jobs.get().some((known) => known.job === job)) return false;
    this.#waiting.set(job, [{ onEnd, waiter }]);
    for (const one of before) one.waiter?.onTaken();
    return true;
  }

  /** Changes whenever no job is on its way into the queue any more: `adopt`, which refuses then, may be tried again. */
  get enqueued(): Observable<number> {
    return this.#enqueued;
  }

  /** Resolves when the job is on disk, connected or not. `onEnd` hears of its end while this client is open. */
  async enqueue(job: NewJob, onEnd?: (end: JobEnd) => void, waiter?: JobWaiter): Promise<Enqueued> {
    this.#enqueuing += 1;
    try {
      const jobs = [{ ...job, work: encodeWork(job.work) }];
      const sent = this.#lastSent.then(() => this.#call({ type: 'enqueue', jobs }));
      this.#lastSent = sent.catch(() => undefined);
      const { enqueued } = await sent;
      const [accepted] = enqueued as [Enqueued];
      if (onEnd) this.#await(accepted.job, { onEnd, waiter });
      this.#jobs.refresh();
      return accepted;
    } finally {
      this.#enqueuing -= 1;
      if (this.#enqueuing === 0) {
        this.#early.clear();
        this.#enqueued.set(this.#enqueued.get() + 1);
      }
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
      all.push(...jobs);
      if (!more) return all;
    }
  }

  /** Results that were asked to be kept. */
  async outcomes(): Promise<JobOutcome[]> {
    return (await this.#call({ type: 'outcomes' })).outcomes;
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
    this.#jobs.refresh();
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

  /**
   * Runs jobs of this key from now on, until the returned function is called. The last function of a key counts; when it
   * ends, the one before it does.
   */
  handle(key: string, handler: JobHandler): Unsubscribe {
    const end = this.#handlers.add(key, handler, () => {
      // What ends opens no client: somebody else may have taken the files over.
      if (this.#attached) this.#register(this.#attached);
    });
    // A client that cannot be opened says so elsewhere; opening it registers again.
    this.#open().then(
      (channel) => {
        this.#register(channel);
      },
      () => undefined,
    );
    return end;
  }

  /** Calls a callback of the app: what it throws is an `error` event of the client. */
  readonly attempt = (call: () => void): void => {
    guarded(call, this.#report);
  };

  /** The client is open. */
  attach(channel: Channel): void {
    this.#attached = channel;
    if (this.#handlers.keys.length > 0) this.#register(channel);
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
        void this.#handlers.run(event);
        break;
      case 'done':
        this.#end(event.outcome.job, { type: 'done', outcome: event.outcome });
        break;
      case 'dead':
        this.#handleDead(event.letter);
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

  #await(job: number, waiting: Waiting): void {
    const early = this.#early.get(job);
    if (early) {
      this.attempt(() => {
        waiting.onEnd(early);
      });
      return;
    }
    this.#waiting.set(job, [...(this.#waiting.get(job) ?? []), waiting]);
  }

  #end(job: number, end: JobEnd): void {
    this.#jobs.handleEnd(job);
    this.#handlers.forget(job);
    if (this.#enqueuing > 0) this.#early.set(job, end);
    const waiting = this.#waiting.get(job) ?? [];
    this.#waiting.delete(job);
    for (const { onEnd } of waiting) {
      this.attempt(() => {
        onEnd(end);
      });
    }
  }

  #register(channel: Channel): void {
    const command: JobCommand = { type: 'registerHandlers', keys: this.#handlers.keys };
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
    if (this.#deadLetters.version === version) this.#deadLetters.set(deadLetters);
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
