import {
  type InfiniteData,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
  type QueryKey,
} from '@tanstack/react-query';

import type { SyncClient } from '../client.ts';
import type { Cursor } from '../contract.ts';
import { firstRows } from '../integrations/shown.ts';
import type { Unsubscribe } from '../observable.ts';
import type { Document, Fields } from '../ops.ts';
import { cursorOf, type OrderBy, type Selection, toCoreSelection } from '../queries.ts';
import type { CollectionRef } from '../refs.ts';

/** What every key begins with. */
const PREFIX = 'syncline';
/** Documents in one page of an infinite query. */
const PAGE_SIZE = 20;

/** A collection, and what is selected of it. */
export type SynclineQuery<T> = CollectionRef & Selection<T>;

/** What a key holds of a query: all that it takes to watch its rows. */
interface KeptQuery extends CollectionRef, Selection {
  /** Of an infinite query. */
  readonly pageSize?: number;
}

type Rows<T> = readonly Document<T>[];
type AnyRows = Rows<Fields>;
type Pages<T> = InfiniteData<Rows<T>, Cursor | null>;

function keyOf(client: SyncClient, { room, collection, ...selected }: SynclineQuery<Fields>): KeptQuery[] {
  return [PREFIX, client.name, { room, collection, ...toCoreSelection(selected) }] as unknown as KeptQuery[];
}

/** The query of a key, if it is one of this client's. */
export function keptQuery(client: SyncClient, key: QueryKey): KeptQuery | null {
  return key[0] === PREFIX && key[1] === client.name ? (key[2] as KeptQuery) : null;
}

/** The device answers, connected or not, and `followQueries` keeps the answer up to date. */
const FROM_DEVICE = { networkMode: 'always', staleTime: Infinity, structuralSharing: false } as const;

/** Options for `useQuery`: the documents of a collection, or those selected. */
export function collectionQuery<T extends object = Fields>(
  client: SyncClient,
  query: SynclineQuery<NoInfer<T>>,
) {
  return queryOptions<Rows<T>>({
    ...FROM_DEVICE,
    queryKey: keyOf(client, query as SynclineQuery<Fields>),
    queryFn: async ({ signal }) => (await firstRows(client.watch<T>(query), signal)).data,
  });
}

/** Options for `useInfiniteQuery`: the same in pages. They stay one live list: a document that moves is on one page only. */
export function collectionPages<T extends object = Fields>(
  client: SyncClient,
  query: Omit<SynclineQuery<NoInfer<T>>, 'limit' | 'after'> & { readonly pageSize?: number },
) {
  const { pageSize = PAGE_SIZE, ...selected } = query;
  const kept = keyOf(client, selected as SynclineQuery<Fields>).map((part) =>
    typeof part === 'object' ? { ...part, pageSize } : part,
  );
  const { orderBy = [] } = selected as SynclineQuery<T>;
  return infiniteQueryOptions<Rows<T>, Error, Pages<T>, QueryKey, Cursor | null>({
    ...FROM_DEVICE,
    queryKey: kept,
    initialPageParam: null,
    queryFn: async ({ pageParam, signal }) => {
      const page = { ...selected, limit: pageSize, ...(pageParam && { after: pageParam }) };
      return (await firstRows(client.watch<T>(page as SynclineQuery<NoInfer<T>>), signal)).data;
    },
    getNextPageParam: (page) => {
      const last = page.at(-1);
      return last && page.length >= pageSize ? cursorOf(last, orderBy as OrderBy<T>[]) : undefined;
    },
  });
}

interface Following {
  readonly limit: number | undefined;
  readonly end: Unsubscribe;
}

/** Keeps the queries of this client up to date while somebody observes them, until the returned function is called. */
export function followQueries(client: SyncClient, queryClient: QueryClient): Unsubscribe {
  const cache = queryClient.getQueryCache();
  const following = new Map<string, Following>();

  const settle = (queryHash: string): void => {
    const query = cache.get(queryHash);
    const kept = query && keptQuery(client, query.queryKey);
    const known = following.get(queryHash);
    if (!kept || query.getObserversCount() === 0) {
      known?.end();
      following.delete(queryHash);
      return;
    }
    const { pageSize, ...selected } = kept;
    const pages =
      pageSize === undefined ? null : (query.state.data as Pages<Fields> | undefined)?.pages.length;
    // Pages are followed once the first one is there.
    if (pages === undefined) return;
    const limit = pageSize === undefined || pages === null ? selected.limit : Math.max(1, pages) * pageSize;
    if (known && known.limit === limit) return;
    const source = client.watch({ ...selected, limit });
    const follow = () => {
      const { data, status } = source.get();
      // While a page is fetched, the rows would be cut into as many as there were.
      if (status === 'loading' || (pageSize !== undefined && query.state.fetchStatus !== 'idle')) return;
      const next = pageSize === undefined ? data : paged(data, pageSize, selected.orderBy ?? []);
      if (pageSize !== undefined || query.state.data !== data) queryClient.setQueryData(query.queryKey, next);
    };
    following.set(queryHash, { limit, end: source.subscribe(follow) });
    known?.end();
    follow();
  };

  for (const { queryHash } of cache.getAll()) settle(queryHash);
  const unsubscribe = cache.subscribe(({ query, type }) => {
    if (type !== 'observerResultsUpdated') settle(query.queryHash);
  });
  return () => {
    unsubscribe();
    for (const { end } of following.values()) end();
    following.clear();
  };
}

/** Rows as an infinite query holds them. */
function paged(rows: AnyRows, pageSize: number, orderBy: readonly OrderBy[]): Pages<Fields> {
  const pages: AnyRows[] = [];
  const pageParams: (Cursor | null)[] = [];
  for (let start = 0; start === 0 || start < rows.length; start += pageSize) {
    const before = rows[start - 1];
    pages.push(rows.slice(start, start + pageSize));
    pageParams.push(before ? cursorOf(before, orderBy) : null);
  }
  return { pages, pageParams };
}
