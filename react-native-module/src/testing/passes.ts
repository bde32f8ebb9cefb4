import type { ProcessReport } from '../contract.ts';

interface Pass {
  /** Not tried yet. */
  readonly remaining: Set<number>;
  readonly report: { processed: number; failed: number };
  readonly done: (report: ProcessReport) => void;
}

/** Rounds that somebody waits for: each job is tried at most once. */
export class Passes {
  #passes: Pass[] = [];

  begin(jobs: Iterable<number>): Promise<ProcessReport> {
    return new Promise((done) => {
      this.#passes.push({ remaining: new Set(jobs), report: { processed: 0, failed: 0 }, done });
    });
  }

  isToTry(id: number): boolean {
    return this.#passes.some(({ remaining }) => remaining.has(id));
  }

  /** An attempt is over. */
  note(id: number, isSuccess: boolean): void {
    for (const { remaining, report } of this.#passes) {
      if (remaining.delete(id)) report[isSuccess ? 'processed' : 'failed'] += 1;
    }
  }

  forget(id: number): void {
    for (const { remaining } of this.#passes) remaining.delete(id);
  }

  /** Answers the rounds of which nothing is left that is under way or could be tried. */
  end(goesOn: (remaining: ReadonlySet<number>) => boolean): void {
    const ended = this.#passes.filter(({ remaining }) => !goesOn(remaining));
    this.#passes = this.#passes.filter((pass) => !ended.includes(pass));
    for (const { done, report, remaining } of ended) done({ ...report, skipped: remaining.size });
  }
}
