import type { RejectedWrite } from './contract.ts';
import { type Observable, Store } from './observable.ts';

/**
 * Rejected writes that the app has not acknowledged. The core lists what it keeps when asked, and tells of each new one
 * once: either may come first, or both tell of the same.
 */
export class Outcomes {
  readonly #store = new Store<readonly RejectedWrite[]>([]);
  /** While a list is awaited: what it may not know yet. */
  #news: { told: RejectedWrite[]; acknowledged: Set<number> } | null = null;

  get observable(): Observable<readonly RejectedWrite[]> {
    return this.#store;
  }

  /** The client is about to open, and will be asked for its list. */
  awaitList(): void {
    this.#news = { told: [], acknowledged: new Set() };
  }

  /** The list knows all from before the client was opened; null when it cannot be had. */
  handleList(outcomes: readonly RejectedWrite[] | null): void {
    const { told = [], acknowledged = new Set<number>() } = this.#news ?? {};
    this.#news = null;
    if (!outcomes) return;
    this.#store.set(merge(outcomes, told).filter(({ clientSeq }) => !acknowledged.has(clientSeq)));
  }

  handleOutcome(outcome: RejectedWrite): void {
    this.#news?.told.push(outcome);
    this.#store.set(merge(this.#store.get(), [outcome]));
  }

  handleAcknowledged(clientSeq: number): void {
    this.#news?.acknowledged.add(clientSeq);
    this.#store.set(this.#store.get().filter((outcome) => outcome.clientSeq !== clientSeq));
  }
}

/** Each write once, those of `first` first. */
function merge(first: readonly RejectedWrite[], then: readonly RejectedWrite[]): RejectedWrite[] {
  return [...new Map([...first, ...then].map((outcome) => [outcome.clientSeq, outcome])).values()];
}
