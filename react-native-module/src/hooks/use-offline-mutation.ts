import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

import type { Enqueued, JobError, JsonValue, NewJob } from '../contract.ts';
import type { HandlerContext, JobEnd, JobOptions } from '../jobs.ts';
import { requestWork } from '../jobs.ts';
import { Store } from '../observable.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface OfflineMutationOptions<Variables extends JsonValue, Context = unknown> {
  /** What is done, as long as a component with this mutation is mounted. Needs `mutationKey`. */
  readonly mutationFn?: (variables: Variables, context: HandlerContext) => Promise<unknown>;
  /** Names the function across restarts of the app. */
  readonly mutationKey?: string;
  /** Without `mutationFn`: where the variables are sent, also while JavaScript does not run. */
  readonly endpoint?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How the job is queued. */
  readonly job?: JobOptions;
  /** Runs before it is queued; what it returns is passed to the other callbacks. */
  readonly onMutate?: (variables: Variables) => Context | Promise<Context>;
  /** It was given up or dropped, or could not be queued. */
  readonly onError?: (error: JobError | Error, variables: Variables, context: Context | undefined) => void;
  /** The response `{ status, headers, body }`, or what `mutationFn` returned. */
  readonly onSuccess?: (result: JsonValue, variables: Variables, context: Context | undefined) => void;
  readonly onSettled?: (variables: Variables, context: Context | undefined) => void;
}

export interface OfflineMutation<Variables extends JsonValue> {
  /** Resolves when it is on disk, connected or not. */
  mutateAsync(variables: Variables): Promise<Enqueued>;
  /** The same; `onError` hears of a failure. */
  mutate(variables: Variables): void;
  /** How many that were made here have not ended. */
  readonly pending: number;
}

const DROPPED: JobError = { category: 'UNKNOWN', code: 'dropped', message: 'it was dropped', status: null };

/** A mutation that waits for the network. Its callbacks run while the client is open; its effect does not need them. */
export function useOfflineMutation<Variables extends JsonValue, Context = unknown>(
  options: OfflineMutationOptions<Variables, Context>,
): OfflineMutation<Variables> {
  const { queue } = useSyncClient();
  const latest = useRef(options);
  useLayoutEffect(() => {
    latest.current = options;
  });
  const [count] = useState(() => new Store(0));
  const pending = useObservable(count, 0, all);
  const { mutationKey } = options;
  const isHandled = options.mutationFn !== undefined;

  useEffect(() => {
    if (mutationKey === undefined || !isHandled) return undefined;
    return queue.handle(mutationKey, (payload, context) => {
      const { mutationFn } = latest.current;
      return mutationFn ? mutationFn(payload as Variables, context) : Promise.resolve(null);
    });
  }, [queue, mutationKey, isHandled]);

  const mutateAsync = useCallback(
    async (variables: Variables): Promise<Enqueued> => {
      const { onMutate, ...given } = latest.current;
      let context: Context | undefined;
      let counted = false;
      try {
        const job = jobOf(given, variables);
        context = await onMutate?.(variables);
        count.set(count.get() + 1);
        counted = true;
        return await queue.enqueue(job, (end) => {
          count.set(count.get() - 1);
          settle(latest.current, end, variables, context);
        });
      } catch (error) {
        if (counted) count.set(count.get() - 1);
        latest.current.onError?.(error as Error, variables, context);
        latest.current.onSettled?.(variables, context);
        throw error;
      }
    },
    [queue, count],
  );
  const mutate = useCallback(
    (variables: Variables) => {
      mutateAsync(variables).catch(() => undefined);
    },
    [mutateAsync],
  );
  return { mutateAsync, mutate, pending };
}

function jobOf<Variables extends JsonValue, Context>(
  { mutationFn, mutationKey, endpoint, method, headers, job }: OfflineMutationOptions<Variables, Context>,
  variables: Variables,
): NewJob {
  if (mutationFn) {
    if (mutationKey === undefined) throw new TypeError('mutationFn needs a mutationKey');
    return { ...job, work: { handler: { key: mutationKey, payload: variables } } };
  }
  if (endpoint === undefined) throw new TypeError('either mutationFn or endpoint is needed');
  return { ...job, work: requestWork({ endpoint, method, headers, data: variables }) };
}

function settle<Variables extends JsonValue, Context>(
  options: OfflineMutationOptions<Variables, Context>,
  end: JobEnd,
  variables: Variables,
  context: Context | undefined,
): void {
  if (end.type === 'done') options.onSuccess?.(end.outcome.result[0] ?? null, variables, context);
  else options.onError?.(end.type === 'dead' ? end.letter.error : DROPPED, variables, context);
  options.onSettled?.(variables, context);
}
