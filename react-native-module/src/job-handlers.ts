import type { JobCommand, JobEvent } from './contract.ts';
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

/** The app's functions that do jobs. */
export class JobHandlers {
  readonly #call: (command: JobCommand) => Promise<unknown>;
  /** Of each key all that are registered, in their order: the last one does the jobs. */
  readonly #byKey = new Map<string, { readonly handler: JobHandler }[]>();

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

  async run(lease: Lease): Promise<void> {
    const { job, lease: number, key, payload, idempotencyKey, attempts, leaseMs } = lease;
    const holder = { job, lease: number };
    const extending = setInterval(() => {
      this.#call({ type: 'extendLease', ...holder }).catch(() => undefined);
    }, leaseMs / 2);
    try {
      const registered = this.#byKey.get(key)?.at(-1);
      if (!registered) throw new JobFailure('NETWORK', 'the handler is not registered any more');
      const result = await registered.handler(payload, { job, idempotencyKey, attempts });
      await this.#call({ type: 'complete', ...holder, result: portable(result, 'the result') });
    } catch (error) {
      // When the lease is over, somebody else has the job.
      await this.#call({ type: 'fail', ...holder, ...failureOf(error) }).catch(() => undefined);
    } finally {
      clearInterval(extending);
    }
  }
}
