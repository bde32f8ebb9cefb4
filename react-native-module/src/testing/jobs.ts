// The queue of events, requests and handlers: lanes, attempts, times to live, dead letters.
import type { DeadReason, JobCommand, JobError, JobKind, JobReply, JobWork, NewJob } from '../contract.ts';
import { type Carriers, carry, overdue } from './carriers.ts';
import type { Context } from './context.ts';
import { Failure } from './errors.ts';
import {
  checkAfter,
  checkWork,
  deadLetter,
  failure,
  type Job,
  type JobFailure,
  isSameWork,
  jobError,
  jobInfo,
  jobOutcome,
  kindOf,
  laneOf,
  outcomeOf,
  retryOf,
} from './job-rules.ts';
import { headOf, Lanes } from './lanes.ts';
import { Passes } from './passes.ts';
import { byteLength, copy } from './values.ts';

const KINDS: readonly JobKind[] = ['event', 'request', 'handler'];
/** Connections that an event may lose without its lane being slowed down. */
const LOSSES_FORGIVEN = 2;
const LIST_BYTES_MAX = 1 << 20;

interface Run {
  readonly number: number;
  deadlineMs: number;
  /** How often the token had changed when it began. */
  readonly tokenChanges: number;
}

export class Jobs {
  readonly #context: Context;
  readonly #carriers: Carriers;
  readonly #running = new Map<number, Run>();
  readonly #lanes: Lanes;
  readonly #passes = new Passes();
  readonly #paused = new Set<JobKind>();
  #handlers = new Set<string>();
  #auto: boolean;
  #runs = 0;
  #tokenChanges = 0;

  constructor(context: Context, carriers: Carriers) {
    this.#context = context;
    this.#carriers = carriers;
    this.#auto = context.settings.jobAuto;
    this.#lanes = new Lanes(context.settings, () => context.nowMs);
  }

  get #disk() {
    return this.#context.disk;
  }

  get #held(): Job[] {
    return [...this.#disk.jobs.values()];
  }

  get isPaused(): boolean {
    return !this.#auto || this.#paused.size > 0;
  }

  get needsToken(): boolean {
    return this.#paused.size > 0;
  }

  get isRunning(): boolean {
    return this.#running.size > 0;
  }

  get waiting(): number {
    return this.#disk.jobs.size;
  }

  get bytes(): number {
    return this.#held.reduce((sum, { work }) => sum + byteLength(work), 0);
  }

  get dead(): number {
    return [...this.#disk.ended.values()].filter(({ end }) => 'reason' in end).length;
  }

  count(kind: JobKind): number {
    return this.#held.filter(({ work }) => kindOf(work) === kind).length;
  }

  oldestMs(kind: JobKind): number | null {
    const times = this.#held.filter(({ work }) => kindOf(work) === kind).map(({ queuedAtMs }) => queuedAtMs);
    return times.length === 0 ? null : this.#context.nowMs - Math.min(...times);
  }

  execute(command: JobCommand): JobReply | Promise<JobReply> {
    const { jobs, ended } = this.#disk;
    switch (command.type) {
      case 'enqueue':
        return this.#enqueue(command.jobs);
      case 'list':
        return this.#list(command.after ?? 0);
      case 'deadLetters':
        return { deadLetters: [...ended.values()].map(deadLetter).filter((letter) => letter !== null) };
      case 'outcomes':
        return { outcomes: [...ended.values()].map(outcomeOf).filter((outcome) => outcome !== null) };
      case 'acknowledge': {
        const outcome = ended.get(command.job);
        if (!outcome || 'reason' in outcome.end)
          throw new Failure('not_found', `no outcome of job ${command.job}`);
        ended.delete(command.job);
        return {};
      }
      case 'retry':
        return this.#retry(command.job, command.work);
      case 'edit':
        return this.#replace(this.#idle(command.job), command.work);
      case 'drop': {
        const letter = ended.get(command.job);
        if (!letter || 'result' in letter.end) this.#idle(command.job);
        this.#buryFollowers(command.job);
        this.#forget(command.job);
        return {};
      }
      case 'clear':
        return this.#clear(command.kinds ?? KINDS, command.deadLetters ?? false);
      case 'process':
        this.hurry();
        this.#paused.clear();
        return this.#passes.begin(jobs.keys());
      case 'setAuto':
        this.#auto = command.enabled;
        return {};
      case 'registerHandlers':
        this.#handlers = new Set(command.keys);
        return {};
      case 'extendLease': {
        const { jobLeaseMs: leaseMs } = this.#context.settings;
        this.#lease(command.job, command.lease).deadlineMs = this.#context.nowMs + leaseMs;
        return { leaseMs };
      }
      case 'complete':
        this.#lease(command.job, command.lease);
        this.#succeed(command.job, [command.result ?? null]);
        return {};
      case 'fail': {
        this.#lease(command.job, command.lease);
        const { category, code = 'unknown', message = '', retryAfterMs = null } = command;
        this.#fail(command.job, failure(category, code, message, { retryAfterMs }));
        return {};
      }
    }
  }

  #enqueue(added: readonly NewJob[]): JobReply {
    if (added.length === 0) throw new Failure('invalid', 'no jobs are given');
    const { jobs, lastJob } = this.#disk;
    try {
      return { enqueued: added.map((job) => this.#accept(job)) };
    } catch (error) {
      for (const id of jobs.keys()) if (id > lastJob) jobs.delete(id);
      throw error;
    }
  }

  #accept(added: NewJob): { job: number; duplicate: boolean } {
    const { settings, nowMs } = this.#context;
    const {
      work,
      dedupeKey = null,
      dedupe = true,
      after = [],
      priority = 0,
      ttlMs = settings.jobTtlMs,
    } = added;
    checkWork(work);
    checkAfter(after);
    const lane = laneOf(added);
    const last = this.#held.filter((job) => job.lane === lane).at(-1);
    const isLast = ({ id }: Job) => id === last?.id && !this.#running.has(id);
    const isSame = (job: Job) => job.dedupe && !job.dedupeKey && isLast(job) && isSameWork(job.work, work);
    const duplicate = this.#held.find((job) =>
      dedupeKey === null ? dedupe && isSame(job) : job.dedupeKey === dedupeKey,
    );
    if (duplicate) return { job: duplicate.id, duplicate: true };
    const unknown = after.find((first) => first > this.#disk.lastJob);
    if (unknown !== undefined) throw new Failure('not_found', `no job ${unknown} to follow`);
    this.#checkFollowed(after);
    this.#checkSize(work);
    this.#disk.lastJob += 1;
    const id = this.#disk.lastJob;
    this.#disk.jobs.set(id, {
      id,
      work: copy(work),
      lane,
      dedupeKey,
      dedupe,
      idempotencyKey: this.#context.newId(),
      priority,
      after,
      queuedAtMs: nowMs,
      expiresAtMs: ttlMs === null ? null : nowMs + ttlMs,
      attemptsMax: added.attemptsMax ?? settings.jobAttemptsMax,
      policy: added.policy ?? 'continue',
      keepOutcome: added.keepOutcome ?? false,
      attempts: 0,
      lastError: null,
    });
    return { job: id, duplicate: false };
  }

  #checkSize(work: JobWork): void {
    const [bytes, bytesMax] = [byteLength(work), this.#context.settings.jobBytesMax];
    if (bytes > bytesMax)
      throw new Failure('too_large', `the job has ${bytes} bytes, at most ${bytesMax} are allowed`);
    const { pending, parked, outcomes, jobs, ended } = this.#disk;
    if (
      pending.length + parked.size + outcomes.size + jobs.size + ended.size >=
      this.#context.settings.queueCountMax
    ) {
      throw new Failure(
        'queue_full',
        `the outbox takes ${this.#context.settings.queueCountMax} writes and jobs`,
      );
    }
  }

  /** Refuses a job that could never start. */
  #checkFollowed(after: readonly number[]): void {
    const dead = after.find((first) => 'reason' in (this.#disk.ended.get(first)?.end ?? {}));
    if (dead !== undefined) throw new Failure('conflict', `job ${dead}, which it is to follow, was given up`);
  }

  #list(after: number): JobReply {
    const later = this.#held.filter(({ id }) => id > after);
    let bytes = 0;
    const last = later.findIndex(({ work }) => (bytes += byteLength(work)) > LIST_BYTES_MAX);
    const listed = last < 0 ? later : later.slice(0, last + 1);
    return {
      jobs: listed.map((job) => jobInfo(job, this.#running.has(job.id))),
      more: listed.length < later.length,
    };
  }

  #retry(id: number, work?: JobWork): JobReply {
    const letter = this.#disk.ended.get(id);
    if (!letter || 'result' in letter.end) throw new Failure('not_found', `no dead letter ${id}`);
    const { job } = letter;
    this.#checkFollowed(job.after);
    const { nowMs: queuedAtMs } = this.#context;
    const expiresAtMs = job.expiresAtMs === null ? null : queuedAtMs + job.expiresAtMs - job.queuedAtMs;
    this.hurry();
    return this.#replace({ ...job, queuedAtMs, expiresAtMs, attempts: 0, lastError: null }, work);
  }

  #replace(job: Job, work?: JobWork): JobReply {
    let replaced = job;
    if (work) {
      if (kindOf(work) !== kindOf(job.work)) throw new Failure('invalid', 'a job keeps its kind');
      checkWork(work);
      // The backend answers a key that it knows with its first answer.
      replaced = { ...job, work: copy(work), idempotencyKey: this.#context.newId() };
    }
    this.#disk.ended.delete(job.id);
    this.#disk.jobs.set(job.id, replaced);
    // In the order of the numbers, wherever it was before.
    const sorted = this.#held.sort((left, right) => left.id - right.id);
    this.#disk.jobs.clear();
    for (const one of sorted) this.#disk.jobs.set(one.id, one);
    return {};
  }

  #clear(kinds: readonly JobKind[], deadLetters: boolean): JobReply {
    const isMeant = ({ work }: Job) => kinds.includes(kindOf(work));
    const held = this.#held.filter((job) => !this.#running.has(job.id) && isMeant(job)).map(({ id }) => id);
    const dead = [...this.#disk.ended.values()].filter(
      ({ job, end }) => deadLetters && 'reason' in end && isMeant(job),
    );
    const cleared = [...held, ...dead.map(({ job }) => job.id)];
    for (const id of cleared) this.#forget(id);
    for (const id of cleared) this.#buryFollowers(id);
    return { cleared: cleared.length };
  }

  #forget(id: number): void {
    this.#disk.jobs.delete(id);
    this.#disk.ended.delete(id);
    this.#passes.forget(id);
  }

  /** A job that waits and may be changed. */
  #idle(id: number): Job {
    const job = this.#disk.jobs.get(id);
    if (!job) throw new Failure('not_found', `no job ${id} waits`);
    if (this.#running.has(id)) throw new Failure('conflict', `job ${id} is under way`);
    return job;
  }

  #lease(id: number, lease: number): Run {
    const [run, job] = [this.#running.get(id), this.#disk.jobs.get(id)];
    if (run?.number !== lease || !job || !('handler' in job.work)) {
      throw new Failure('conflict', `the lease of job ${id} is over`);
    }
    return run;
  }

  handleToken(isSet: boolean): void {
    this.#tokenChanges += 1;
    if (isSet) this.#paused.clear();
  }

  /** Whatever waits for no reason of the server's is tried again. */
  hurry(): void {
    this.#lanes.hurry();
  }

  /** What was sent on a connection that is lost is sent again on the next. */
  handleLost(): void {
    const lost = new Set<string>();
    for (const id of [...this.#running.keys()]) {
      const job = this.#disk.jobs.get(id);
      if (!job || !('event' in job.work)) continue;
      this.#running.delete(id);
      this.#passes.note(id, false);
      job.lastError = jobError('NETWORK', 'unreachable', 'the connection was lost');
      lost.add(job.lane);
    }
    for (const name of lost) {
      const failures = this.#lanes.countFailure(name);
      if (failures > LOSSES_FORGIVEN) this.#lanes.delay(name, failures - LOSSES_FORGIVEN, null);
    }
  }

  get nextMs(): number {
    const runs = [...this.#running.values()].map(({ deadlineMs }) => deadlineMs);
    const expiries = this.#held
      .filter(({ id }) => !this.#running.has(id))
      .map((job) => job.expiresAtMs ?? Infinity);
    return Math.min(this.#lanes.nextMs, ...runs, ...expiries);
  }

  /** Starts what may start, and gives up what is over. */
  work(): void {
    const { nowMs } = this.#context;
    for (const [id, { deadlineMs }] of this.#running) {
      const job = this.#disk.jobs.get(id);
      if (job && deadlineMs <= nowMs) this.#fail(id, overdue(job.work));
    }
    for (const { id, expiresAtMs } of this.#held) {
      if (!this.#running.has(id) && expiresAtMs !== null && expiresAtMs <= nowMs) {
        this.#bury(id, 'expired', jobError('UNKNOWN', 'expired', 'its time to live has passed'));
      }
    }
    for (let job = this.#next(this.#openKinds); job; job = this.#next(this.#openKinds)) this.#start(job);
    this.#endPasses();
  }

  get #openKinds(): JobKind[] {
    const isOpen = { event: this.#carriers.isConnected, request: this.#carriers.mayRequest, handler: true };
    return KINDS.filter((kind) => isOpen[kind] && !this.#paused.has(kind));
  }

  /** The most urgent job of these kinds that may start. */
  #next(kinds: readonly JobKind[]): Job | null {
    const busy = (kind: JobKind) => {
      const running = this.#held.filter(({ id, work }) => this.#running.has(id) && kindOf(work) === kind);
      return new Set(running.map(({ lane }) => lane)).size;
    };
    const isOpen = KINDS.filter(
      (kind) => kinds.includes(kind) && busy(kind) < this.#context.settings.jobsParallelMax,
    );
    const ended = [...this.#disk.ended.values()];
    const isRunning = (id: number) => this.#running.has(id);
    const lanes = [...new Set(this.#held.map(({ lane }) => lane))].filter((lane) => !this.#lanes.waits(lane));
    const { jobStreamMax } = this.#context.settings;
    const heads = lanes.flatMap(
      (lane) => headOf(lane, this.#disk.jobs, ended, isRunning, jobStreamMax) ?? [],
    );
    const ready = heads.filter((job) => isOpen.includes(kindOf(job.work)) && this.#isWanted(job));
    ready.sort((left, right) => right.priority - left.priority || left.id - right.id);
    return ready[0] ?? null;
  }

  #isWanted({ id, work }: Job): boolean {
    if ('handler' in work && !this.#handlers.has(work.handler.key)) return false;
    return this.#auto || this.#passes.isToTry(id);
  }

  #start(job: Job): void {
    const { settings, nowMs } = this.#context;
    const { id, work, idempotencyKey } = job;
    this.#runs += 1;
    const number = this.#runs;
    const timeoutMs = {
      event: settings.jobAckTimeoutMs,
      request: settings.httpTimeoutMs,
      handler: settings.jobLeaseMs,
    }[kindOf(work)];
    this.#running.set(id, { number, deadlineMs: nowMs + timeoutMs, tokenChanges: this.#tokenChanges });
    if ('handler' in work) {
      const { key, payload = null } = work.handler;
      const leased = { job: id, lease: number, leaseMs: settings.jobLeaseMs, key, payload, idempotencyKey };
      this.#context.notice({ type: 'job', event: { type: 'leased', ...leased, attempts: job.attempts } });
      return;
    }
    carry(job, this.#carriers, settings.jobIdempotencyArgument, (end) => {
      if (this.#running.get(id)?.number !== number) return;
      if ('error' in end) this.#fail(id, end);
      else this.#succeed(id, [...end]);
    });
  }

  #succeed(id: number, result: unknown[]): void {
    const job = this.#disk.jobs.get(id);
    if (!job) return;
    this.#running.delete(id);
    this.#lanes.reset(job.lane);
    this.#disk.jobs.delete(id);
    this.#passes.note(id, true);
    this.#context.notice({ type: 'job', event: { type: 'done', outcome: jobOutcome(job, result) } });
    if (job.keepOutcome) this.#disk.ended.set(id, { job, end: { result } });
  }

  #fail(id: number, { error, retryAfterMs, counts }: JobFailure): void {
    const [job, run] = [this.#disk.jobs.get(id), this.#running.get(id)];
    if (!job || !run) return;
    this.#running.delete(id);
    this.#passes.note(id, false);
    job.attempts += Number(counts);
    job.lastError = error;
    const retry = retryOf(error.category);
    if (retry === 'never') {
      this.#bury(id, 'refused', error);
      return;
    }
    if (retry === 'later') this.#lanes.delay(job.lane, this.#lanes.countFailure(job.lane), retryAfterMs);
    if (retry === 'later' && counts && job.attempts >= job.attemptsMax) {
      this.#bury(id, 'attempts_spent', error);
      return;
    }
    // With a token that has been replaced meanwhile it says nothing.
    const isRefused = retry === 'after_auth' && run.tokenChanges === this.#tokenChanges;
    if (isRefused) this.#paused.add(kindOf(job.work));
    this.#context.notice({ type: 'job', event: { type: 'failed', job: id, error, attempts: job.attempts } });
  }

  /** Moves a job, and those that follow it, to the dead letters. */
  #bury(id: number, reason: DeadReason, error: JobError): void {
    const job = this.#disk.jobs.get(id);
    if (!job) return;
    this.#running.delete(id);
    this.#disk.jobs.delete(id);
    const isLaneEmpty = this.#held.every(({ lane }) => lane !== job.lane);
    // Of spent attempts the server may be the reason: the next job of the lane waits, too.
    if (reason !== 'attempts_spent' || isLaneEmpty) this.#lanes.reset(job.lane);
    this.#passes.note(id, false);
    const ended = { job, end: { reason, error, diedAtMs: this.#context.nowMs } };
    this.#disk.ended.set(id, ended);
    const letter = deadLetter(ended);
    if (letter) this.#context.notice({ type: 'job', event: { type: 'dead', letter } });
    this.#buryFollowers(id);
  }

  #buryFollowers(first: number): void {
    for (const { id, after } of this.#held) {
      if (!after.includes(first)) continue;
      this.#bury(
        id,
        'dependency',
        jobError('UNKNOWN', 'dependency', `job ${first}, which it follows, failed`),
      );
    }
  }

  #endPasses(): void {
    const kinds = this.#carriers.isConnecting ? [...this.#openKinds, 'event' as const] : this.#openKinds;
    this.#passes.end((remaining) => {
      const next = this.#next(kinds);
      return (
        [...this.#running.keys()].some((id) => remaining.has(id)) || (next !== null && remaining.has(next.id))
      );
    });
  }

  /** Whether every event and request up to this number has ended; a failure if one cannot for now. */
  answered(through: number): true | Failure | null {
    const meant = this.#held.filter(({ id, work }) => id <= through && !('handler' in work));
    if (meant.length === 0) return true;
    const kinds = this.#openKinds.filter((kind) => kind !== 'handler');
    const next = this.#next(kinds);
    if (meant.some(({ id }) => this.#running.has(id)) || (next && next.id <= through)) return null;
    if (meant.some(({ work }) => 'event' in work) && !this.#carriers.isConnected) return null;
    const [stuck] = meant;
    const why = stuck?.lastError?.message ?? 'it waits for its turn';
    return new Failure('unavailable', `job ${stuck?.id ?? 0} is not done: ${why}`);
  }
}
