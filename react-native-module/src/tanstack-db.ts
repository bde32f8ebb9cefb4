// A collection of TanStack DB over a collection of Syncline.
import type { CollectionConfig, SyncConfig } from '@tanstack/db';

import type { SyncClient } from './client.ts';
import { whenShown } from './integrations/shown.ts';
import { assignment, creation, deletion } from './integrations/writes.ts';
import type { Document, Fields } from './ops.ts';
import type { CollectionRef } from './refs.ts';
import type { Selection } from './queries.ts';
import type { WriteRequest } from './contract.ts';

/** A collection, and what is selected of it. */
export type SynclineCollection<T extends object> = CollectionRef &
  Selection<NoInfer<T>> & {
    /** What TanStack DB calls it; made of the names when absent. */
    readonly id?: string;
  };

/**
 * Options for `createCollection`. Writes are shown at once, are on disk when `isPersisted` resolves, connected or not, and are
 * sent when there is a connection; those of one transaction are accepted all or none.
 */
export function synclineCollectionOptions<T extends object = Fields>(
  client: SyncClient,
  { id, ...query }: SynclineCollection<T>,
): CollectionConfig<Document<T>, string> & { readonly id: string } {
  const { room, collection } = query;
  const ref: CollectionRef = { room, collection };
  const source = client.watch<T>(query);

  const persist = async (writes: WriteRequest[]): Promise<void> => {
    await client.write(writes);
    await whenShown(
      client,
      source,
      ref,
      writes.map((write) => write.id),
    );
  };
  const sync: SyncConfig<Document<T>, string>['sync'] = ({ begin, write, commit, markReady, markError }) => {
    let shown = new Map<string, Document<T>>();
    let isReady = false;
    const refresh = () => {
      const { data, status, error } = source.get();
      const next = new Map(data.map((document) => [document.id, document]));
      begin();
      for (const [key, value] of next) {
        const previous = shown.get(key);
        if (!previous) write({ type: 'insert', value });
        else if (previous !== value) write({ type: 'update', value, previousValue: previous });
      }
      for (const key of shown.keys()) if (!next.has(key)) write({ type: 'delete', key });
      // One that is abandoned belongs to a collection that was cleaned up.
      const applied = commit();
      if (applied !== true) applied.catch(() => undefined);
      shown = next;
      if (isReady || status === 'loading') return;
      isReady = true;
      if (status === 'error' && error && data.length === 0) markError(error);
      else markReady();
    };
    const unsubscribe = source.subscribe(refresh);
    refresh();
    return unsubscribe;
  };
  return {
    id: id ?? `syncline:${client.name}:${room}:${collection}`,
    getKey: (document) => document.id,
    sync: { sync, rowUpdateMode: 'full' },
    onInsert: ({ transaction }) =>
      persist(transaction.mutations.map(({ modified }) => creation(ref, modified))),
    onUpdate: ({ transaction }) =>
      persist(transaction.mutations.map(({ key, changes }) => assignment(ref, key, changes))),
    onDelete: ({ transaction }) => persist(transaction.mutations.map(({ key }) => deletion(ref, key))),
  };
}
