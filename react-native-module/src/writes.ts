import type { Code, WriteRequest } from './contract.ts';
import { asSynclineError } from './error.ts';

/** The most writes that are sent as one. */
const BATCH_WRITES_MAX = 500;

/** What one write of a batch can be guilty of: the others may still be accepted. */
const ONE_WRITES_FAULT: readonly Code[] = ['invalid', 'too_large', 'not_found', 'queue_full'];

/** A write whose document may still be without an id. */
export type Draft = Omit<WriteRequest, 'id'> & { readonly id: string | null };

/** What became of drafts, in their order. */
export interface Written {
  readonly ids: string[];
  readonly clientSeqs: number[];
}

interface Job {
  readonly drafts: readonly Draft[];
  readonly resolve: (written: Written) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps writes in the order in which they were asked for, as hosts may reorder concurrent calls. Writes that come
 * while one is on its way travel together and share one flush to disk.
 */
export class WriteQueue {
  readonly #send: (writes: WriteRequest[]) => Promise<number[]>;
  readonly #newId: () => Promise<string>;
  #waiting: Job[] = [];
  #sending = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(send: (writes: WriteRequest[]) => Promise<number[]>, newId: () => Promise<string>) {
    this.#send = send;
    this.#newId = newId;
  }

  /** Resolves when the writes are durable, all or none of them. */
  push(drafts: readonly Draft[]): Promise<Written> {
    const written = new Promise<Written>((resolve, reject) => {
      this.#waiting.push({ drafts, resolve, reject });
      if (!this.#sending) void this.#drain();
    });
    this.#last = written;
    return written;
  }

  /** Resolves when everything pushed so far is durable or refused. */
  async settled(): Promise<void> {
    // They end in order.
    await this.#last.catch(() => undefined);
  }

  async #drain(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.length > 0) await this.#sendTogether(this.#takeBatch());
    this.#sending = false;
  }

  #takeBatch(): Job[] {
    let count = 0;
    let jobs = 0;
    for (const job of this.#waiting) {
      count += job.drafts.length;
      if (jobs > 0 && count > BATCH_WRITES_MAX) break;
      jobs += 1;
    }
    return this.#waiting.splice(0, jobs);
  }

  async #sendTogether(jobs: Job[]): Promise<void> {
    try {
      const writes = await this.#withIds(jobs.flatMap((job) => job.drafts));
      const clientSeqs = await this.#send(writes);
      for (const { drafts, resolve } of jobs) {
        const ids = writes.splice(0, drafts.length).map(({ id }) => id);
        resolve({ ids, clientSeqs: clientSeqs.splice(0, drafts.length) });
      }
    } catch (error) {
      // A command is all or nothing, but one job must not spoil another. Other failures would hit each of them.
      if (jobs.length > 1 && ONE_WRITES_FAULT.includes(asSynclineError(error).code)) {
        for (const job of jobs) await this.#sendTogether([job]);
      } else {
        for (const job of jobs) job.reject(error);
      }
    }
  }

  async #withIds(drafts: Draft[]): Promise<WriteRequest[]> {
    const writes: WriteRequest[] = [];
    // One by one: ids grow in the order in which the documents are made.
    for (const draft of drafts) writes.push({ ...draft, id: draft.id ?? (await this.#newId()) });
    return writes;
  }
}
