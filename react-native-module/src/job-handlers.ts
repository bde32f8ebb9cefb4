import type { JobCommand, JobEvent } from './contract.ts';
import { asSynclineError } from './error.ts';
import { failureOf, JobFailure } from './job-failure.ts';
import { once } from './observable.ts';
import { portable } from './portable.ts';

/** What a handler is told besides its payload. */
export interface HandlerContext {
  readonly job: number;
  /** The same in every attempt: pass it on, so that the backend recognizes a repetition. */
  readonly idempotencyKey: string;
  /** Attempts used up before. */
  readonly attempts: number;
}

export type JobHandler = (payload: unknown, context: HandlerContext) => Promise<unknown>;

type Lease = Extract<JobEvent, { type: 'leased' }>;

type Told<Type> = Omit<Extract<JobCommand, { type: Type }>, 'job' | 'lease'>;

/** What the core is told about an attempt. */
type End = Told<'complete'> | Told<'fail'>;

/** A job that is being done. */
interface Run {
  /** Another work of the same job has another one. */
  readonly idempotencyKey: string;
  readonly job: number;
  /** The last one. */
  lease: number;
  extending?: ReturnType<typeof setInterval>;
  /** What it was done with, when the core has not taken it. */
  finished?: End;
}

/** The app's functions that do jobs. */
export class JobHandlers {
  readonly #call: (command: JobCommand) => Promise<unknown>;
  /** Of each key all that are registered, in their order: the last one does the jobs. */
  readonly #byKey = new Map<string, { readonly handler: JobHandler }[]>();

  readonly #runs = new Map<number, Run>();

  constructor(call: (command: JobCommand) => Promise<unknown>) {
    this.#call = call;
  }

  get keys(): string[] {
    return [...this.#byKey.keys()];
  }

  /** `onKeyGone` is called when nothing is left of the key after the returned function was called. */
  add(key: string, handler: JobHandler, onKeyGone: () => void): () => void {
    const entry = { handler };
    const entries = this.#byKey.get(key) ?? [];
    this.#byKey.set(key, entries);
    entries.push(entry);
    return once(() => {
      entries.splice(entries.indexOf(entry), 1);
      if (entries.length > 0) return;
      this.#byKey.delete(key);
      onKeyGone();
    });
  }

  /** Does a job. One that is being done already, under a lease that is over, goes on under this one. */
  async run(lease: Lease): Promise<void> {
    const known = this.#runs.get(lease.job);
    if (known?.idempotencyKey === lease.idempotencyKey) {
      await this.#continue(known, lease);
      return;
    }
    const run: Run = { idempotencyKey: lease.idempotencyKey, job: lease.job, lease: lease.lease };
    this.#runs.set(lease.job, run);
    this.#extend(run, lease.leaseMs);
    await this.#finish(run, await this.#attempt(lease));
  }

  /** The job has ended: what it was done with is not needed any more. */
  forget(job: number): void {
    if (this.#runs.get(job)?.finished) this.#runs.delete(job);
  }

  async #continue(run: Run, { lease, leaseMs }: Lease): Promise<void> {
    run.lease = lease;
    if (run.finished) await this.#finish(run, run.finished);
    else this.#extend(run, leaseMs);
  }

  #extend(run: Run, leaseMs: number): void {
    clearInterval(run.extending);
    run.extending = setInterval(() => {
      const { job, lease } = run;
      this.#call({ type: 'extendLease', job, lease }).catch(() => undefined);
    }, leaseMs / 2);
  }

  async #attempt({ job, key, payload, idempotencyKey, attempts }: Lease): Promise<End> {
    try {
      const registered = this.#byKey.get(key)?.at(-1);
      if (!registered) throw new JobFailure('NETWORK', 'the handler is not registered any more');
      const result = await registered.handler(payload, { job, idempotencyKey, attempts });
      return { type: 'complete', result: portable(result, 'the result') };
    } catch (error) {
      return { type: 'fail', ...failureOf(error) };
    }
  }

  /** Tells the core how it ended. */
  async #finish(run: Run, end: End): Promise<void> {
    clearInterval(run.extending);
    const { job, lease } = run;
    try {
      await this.#call({ ...end, job, lease });
    } catch (error) {
      // Another lease came meanwhile.
      if (run.lease !== lease) {
        await this.#finish(run, end);
        return;
      }
      if (end.type === 'complete') {
        // Where the lease is over, or the end was not kept, the core offers the job again: it is done already.
        if (asSynclineError(error).code !== 'invalid') run.finished = end;
        else await this.#finish(run, { type: 'fail', ...failureOf(error) });
        return;
      }
    }
    clearInterval(run.extending);
    if (this.#runs.get(job) === run) this.#runs.delete(job);
  }
}
