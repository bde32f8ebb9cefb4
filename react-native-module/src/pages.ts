import { Audience, type Observable, Store, type Unsubscribe } from './observable.ts';
import type { Document } from './ops.ts';
import { share } from './share.ts';
import { type CollectionSnapshot, LOADING } from './watches.ts';

/** A window that grows page by page. */
export interface PagesSnapshot<T> extends CollectionSnapshot<T> {
  /** Whether more documents match than are shown. */
  readonly hasMore: boolean;
  /** Whether the next page was asked for and is not here yet. */
  readonly isLoadingMore: boolean;
}

type AnySnapshot = PagesSnapshot<object>;
type Window = Observable<CollectionSnapshot<object>>;

export const NO_PAGES: AnySnapshot = { ...LOADING, hasMore: false, isLoadingMore: false };

/**
 * The first pages of a query as one live list, so that a document which moves is on one of them and not on two. While a
 * larger window is on its way, the smaller one stays visible.
 */
export class Pages implements Observable<AnySnapshot> {
  readonly #size: number;
  readonly #watch: (limit: number) => Window;
  readonly #store = new Store(NO_PAGES);
  #limit: number;
  #window: Window;
  readonly #audience = new Audience(() => {
    this.#follow();
    return () => {
      this.#end?.();
      this.#end = null;
    };
  });
  #end: Unsubscribe | null = null;

  /** `watch` gives the window of a size. */
  constructor(size: number, watch: (limit: number) => Window) {
    this.#size = size;
    this.#watch = watch;
    this.#limit = size;
    this.#window = watch(size);
  }

  readonly get = (): AnySnapshot => this.#store.get();

  readonly subscribe = (listener: () => void): Unsubscribe => {
    const unsubscribe = this.#store.subscribe(listener);
    const leave = this.#audience.join();
    return () => {
      unsubscribe();
      leave();
    };
  };

  /** Shows one page more. Does nothing when there is none, or while the last one asked for is on its way. */
  readonly loadMore = (): void => {
    const shown = this.#store.get();
    if (!shown.hasMore || shown.isLoadingMore || !this.#end) return;
    this.#limit += this.#size;
    this.#window = this.#watch(this.#limit);
    this.#store.set({ ...shown, isLoadingMore: true });
    const end = this.#end;
    this.#follow();
    end();
  };

  #follow(): void {
    this.#end = this.#window.subscribe(this.#refresh);
    this.#refresh();
  }

  readonly #refresh = (): void => {
    const shown = this.#store.get();
    const next = this.#window.get();
    if (shown.isLoadingMore && next.status === 'loading') return;
    const known = new Map(shown.data.map((document) => [document.id, document]));
    const data = next.data.map((document): Document<object> => share(known.get(document.id), document));
    this.#store.set({
      ...next,
      data: share(shown.data, data),
      // Not by what is shown: a document that is not valid is counted, and is in no page.
      hasMore: next.count > this.#limit,
      isLoadingMore: false,
    });
  };
}
