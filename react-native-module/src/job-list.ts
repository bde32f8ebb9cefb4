import type { JobInfo } from './contract.ts';
import { complain, type Report } from './guard.ts';
import { Audience, type Observable, Store, type Unsubscribe } from './observable.ts';
import { share } from './share.ts';

/** The jobs that have not ended, read anew whenever the queue changes, while somebody looks. */
export class JobList implements Observable<readonly JobInfo[]> {
  readonly #store: Store<readonly JobInfo[]>;
  readonly #read: () => Promise<JobInfo[]>;
  readonly #changes: Observable<unknown>;
  readonly #audience = new Audience(() => {
    const end = this.#changes.subscribe(() => {
      if (this.#changes.get() !== this.#seen) this.refresh();
    });
    this.refresh();
    return end;
  });
  /** What the last reading was for. */
  #seen: unknown = null;
  #reading = false;
  #stale = false;
  /** Jobs that ended while the list was read. */
  readonly #ended = new Set<number>();

  /** `changes` tells when the list is to be read anew. */
  constructor(read: () => Promise<JobInfo[]>, changes: Observable<unknown>, report: Report = complain) {
    this.#store = new Store<readonly JobInfo[]>([], report);
    this.#read = read;
    this.#changes = changes;
  }

  readonly get = (): readonly JobInfo[] => this.#store.get();

  readonly subscribe = (listener: () => void): Unsubscribe => {
    const unsubscribe = this.#store.subscribe(listener);
    const leave = this.#audience.join();
    return () => {
      unsubscribe();
      leave();
    };
  };

  readonly refresh = (): void => {
    if (this.#audience.isEmpty) return;
    this.#seen = this.#changes.get();
    if (this.#reading) this.#stale = true;
    else void this.#readAll();
  };

  handleEnd(job: number): void {
    if (this.#reading) this.#ended.add(job);
    const jobs = this.#store.get();
    if (jobs.some((known) => known.job === job)) this.#store.set(jobs.filter((known) => known.job !== job));
  }

  async #readAll(): Promise<void> {
    this.#reading = true;
    do {
      this.#stale = false;
      this.#ended.clear();
      try {
        this.#show(await this.#read());
      } catch {
        // A client that is closed shows what it last knew; opening it is a change.
      }
      // Asked again meanwhile.
    } while (this.#isStale());
    this.#ended.clear();
    this.#reading = false;
  }

  #isStale(): boolean {
    return this.#stale && !this.#audience.isEmpty;
  }

  #show(jobs: readonly JobInfo[]): void {
    const shown = this.#store.get();
    const known = new Map(shown.map((job) => [job.job, job]));
    const next = jobs.filter(({ job }) => !this.#ended.has(job)).map((job) => share(known.get(job.job), job));
    const same = next.length === shown.length && next.every((job, index) => job === shown[index]);
    if (!same) this.#store.set(next);
  }
}
