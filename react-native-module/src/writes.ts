import type { WriteRequest } from './contract.ts';

/** The most writes that are sent as one. */
const BATCH_WRITES_MAX = 500;

interface Job {
  readonly writes: WriteRequest[];
  resolve(clientSeqs: number[]): void;
  reject(error: unknown): void;
}

/**
 * Keeps writes in the order in which they were asked for, as hosts may reorder concurrent calls. Writes that come
 * while one is on its way travel together and share one flush to disk.
 */
export class WriteQueue {
  readonly #send: (writes: WriteRequest[]) => Promise<number[]>;
  #waiting: Job[] = [];
  #sending = false;

  constructor(send: (writes: WriteRequest[]) => Promise<number[]>) {
    this.#send = send;
  }

  /** Resolves when the writes are durable, all or none of them. */
  push(writes: WriteRequest[]): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, resolve, reject });
      if (!this.#sending) void this.#drain();
    });
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
      count += job.writes.length;
      if (jobs > 0 && count > BATCH_WRITES_MAX) break;
      jobs += 1;
    }
    return this.#waiting.splice(0, jobs);
  }

  async #sendTogether(jobs: Job[]): Promise<void> {
    try {
      const clientSeqs = await this.#send(jobs.flatMap((job) => job.writes));
      let start = 0;
      for (const job of jobs) {
        job.resolve(clientSeqs.slice(start, start + job.writes.length));
        start += job.writes.length;
      }
    } catch (error) {
      const [only, ...others] = jobs;
      if (only && others.length === 0) only.reject(error);
      // A command is all or nothing, but one job must not spoil another.
      else for (const job of jobs) await this.#sendTogether([job]);
    }
  }
}
