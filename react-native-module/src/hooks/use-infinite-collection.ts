import { useMemo } from 'react';

import type { Observable } from '../observable.ts';
import type { Fields } from '../ops.ts';
import { NO_PAGES, Pages, type PagesSnapshot } from '../pages.ts';
import { type Selection, toCoreSelection } from '../queries.ts';
import type { CollectionName, DocumentOf, Known, UndeclaredFields } from '../register.ts';
import type { CollectionSnapshot } from '../watches.ts';
import { useCoreClient } from './context.ts';
import { type CollectionActions, collectionActions, type CollectionQuery } from './use-collection.ts';
import { all, useObservable } from './use-observable.ts';

/** Documents in one page. */
const PAGE_SIZE = 20;

/** A collection, what is selected of it, and how much of that at a time. */
export interface InfiniteQuery<T = Fields, Name extends CollectionName = CollectionName> extends Omit<
  CollectionQuery<T, Name>,
  'limit' | 'after'
> {
  /** 20 when absent. */
  readonly pageSize?: number;
}

export interface UseInfiniteCollection<T extends object> extends PagesSnapshot<T>, CollectionActions<T> {
  /** Shows one page more, for `onEndReached` of a list. */
  readonly loadMore: () => void;
}

/** As `useCollection`, for lists that grow as the user scrolls: all pages together are one live list. */
export function useInfiniteCollection<Name extends CollectionName>(
  query: InfiniteQuery<DocumentOf<NoInfer<Name>>, Name>,
): UseInfiniteCollection<DocumentOf<Name>>;
export function useInfiniteCollection<T extends object = UndeclaredFields>(
  query: Known<T, InfiniteQuery<NoInfer<T>>>,
): UseInfiniteCollection<T>;
export function useInfiniteCollection({
  room,
  collection,
  pageSize = PAGE_SIZE,
  ...selected
}: InfiniteQuery): UseInfiniteCollection<Fields> {
  const client = useCoreClient();
  const selection = JSON.stringify(toCoreSelection(selected));
  const pages = useMemo(() => {
    const query = { room, collection, ...(JSON.parse(selection) as Selection) };
    const watch = (limit: number): Observable<CollectionSnapshot<Fields>> =>
      client.watch({ ...query, limit });
    return new Pages(pageSize, watch);
  }, [client, room, collection, selection, pageSize]);
  const snapshot = useObservable(pages, NO_PAGES, all) as PagesSnapshot<Fields>;
  const actions = useMemo(
    () => ({ ...collectionActions<Fields>(client, { room, collection }), loadMore: pages.loadMore }),
    [client, room, collection, pages],
  );
  return useMemo(() => ({ ...snapshot, ...actions }), [snapshot, actions]);
}
