import type { SyncClient } from '../client.ts';
import type { Observable } from '../observable.ts';
import { share } from '../share.ts';
import type { CollectionRef } from '../refs.ts';
import type { CollectionSnapshot } from '../watches.ts';

/** How long rows are awaited that a write has changed; longer than any host needs to tell of them. */
const SHOW_MS = 1_000;

/** Resolves when something passes, or after a while. */
function within(ms: number, source: Observable<unknown>, passes: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const timer = setTimeout(end, ms);
    const unsubscribe = source.subscribe(() => {
      if (passes()) end();
    });
    if (passes()) end();
  });
}

/**
 * Resolves when a watch shows these documents as the client has them: what somebody showed of them meanwhile is then not
 * needed any more. One that the watch does not select is awaited in vain, for a second at most.
 */
export async function whenShown(
  client: SyncClient,
  source: Observable<CollectionSnapshot<object>>,
  { room, collection }: CollectionRef,
  ids: readonly string[],
): Promise<void> {
  const known = await Promise.all(
    ids.map(async (id) => [id, await client.document({ room, collection, id }).catch(() => null)] as const),
  );
  await within(SHOW_MS, source, () => {
    const shown = new Map(source.get().data.map((document) => [document.id, document]));
    return known.every(([id, document]) => {
      const row = shown.get(id);
      return document && row ? share(row, document) === row : !document && !row;
    });
  });
}

/** Resolves to the rows of a watch once there are some to be known. */
export function firstRows<T>(
  source: Observable<CollectionSnapshot<T>>,
  signal?: AbortSignal,
): Promise<CollectionSnapshot<T>> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      unsubscribe();
      signal?.removeEventListener('abort', abort);
      settle();
    };
    const abort = () => {
      end(() => {
        reject(new Error('the query was called off'));
      });
    };
    const check = () => {
      const snapshot = source.get();
      if (snapshot.status === 'loading') return;
      end(() => {
        if (snapshot.status === 'error' && snapshot.error && snapshot.data.length === 0)
          reject(snapshot.error);
        else resolve(snapshot);
      });
    };
    const unsubscribe = source.subscribe(check);
    signal?.addEventListener('abort', abort);
    // Not before there is something to end.
    if (signal?.aborted) abort();
    else check();
  });
}
