import type { Observable } from '../../src/observable.ts';
import { Store } from '../../src/observable.ts';
import { Pages } from '../../src/pages.ts';
import { type CollectionSnapshot, LOADING } from '../../src/watches.ts';

type Snapshot = CollectionSnapshot<object>;

const shown = (count: number, ...ids: string[]): Snapshot => ({
  ...LOADING,
  status: 'complete',
  count,
  data: ids.map((id) => ({ id })),
});

function windows() {
  const made = new Map<number, Store<Snapshot>>();
  const pages = new Pages(2, (limit): Observable<Snapshot> => {
    const store = made.get(limit) ?? new Store<Snapshot>(LOADING);
    made.set(limit, store);
    return store;
  });
  return { pages, tell: (limit: number, snapshot: Snapshot) => made.get(limit)?.set(snapshot), made };
}

it('keeps the smaller window until the larger one is there', () => {
  const { pages, tell } = windows();
  const end = pages.subscribe(() => undefined);
  expect(pages.get()).toMatchObject({ status: 'loading', hasMore: false });
  tell(2, shown(3, 'a', 'b'));
  const [first] = pages.get().data;
  pages.loadMore();
  expect(pages.get()).toMatchObject({ isLoadingMore: true, data: [{ id: 'a' }, { id: 'b' }] });
  tell(4, shown(3, 'a', 'b', 'c'));
  expect(pages.get()).toMatchObject({ isLoadingMore: false, hasMore: false, count: 3 });
  expect(pages.get().data[0]).toBe(first);
  // It follows the larger window only.
  tell(2, shown(0));
  expect(pages.get().data).toHaveLength(3);
  end();
});

it('has no more when what is counted and not shown is not valid', () => {
  const { pages, tell } = windows();
  const end = pages.subscribe(() => undefined);
  tell(2, shown(3, 'a'));
  expect(pages.get().hasMore).toBe(true);
  pages.loadMore();
  tell(4, shown(3, 'a', 'b'));
  expect(pages.get()).toMatchObject({ hasMore: false, count: 3 });
  end();
});

it('asks for one page at a time, and for none where there is none', () => {
  const { pages, tell, made } = windows();
  pages.loadMore();
  const end = pages.subscribe(() => undefined);
  tell(2, shown(9, 'a', 'b'));
  pages.loadMore();
  pages.loadMore();
  expect([...made.keys()]).toEqual([2, 4]);
  tell(4, shown(4, 'a', 'b', 'c', 'd'));
  pages.loadMore();
  expect([...made.keys()]).toEqual([2, 4]);
  end();
  pages.loadMore();
  expect([...made.keys()]).toEqual([2, 4]);
});
