import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';

import type { DeadLetter, Enqueued, JobError, JobInfo } from '../contract.ts';
import { JobFailure } from '../job-failure.ts';
import type { JobEnd, JobWaiter } from '../jobs.ts';
import {
  belongs,
  deadJob,
  isHandled,
  jobOf,
  type MutationJob,
  type MutationWork,
  resultOf,
  waitingJob,
} from '../mutations.ts';
import { Store } from '../observable.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface OfflineMutationOptions<Variables, Context = unknown> extends MutationWork<Variables> {
  /** Runs before it is queued; what it returns is passed to the other callbacks. */
  readonly onMutate?: (variables: Variables) => Context | Promise<Context>;
  /**
   * Runs for one that was queued before the app was restarted, or by a component that is gone; what it returns is passed to
   * the other callbacks.
   */
  readonly onRestore?: (variables: Variables) => Context;
  /** It was given up or dropped, or could not be queued. */
  readonly onError?: (error: JobError | Error, variables: Variables, context: Context | undefined) => void;
  /** The response `{ status, headers, body }`, or what `mutationFn` returned. */
  readonly onSuccess?: (result: unknown, variables: Variables, context: Context | undefined) => void;
  readonly onSettled?: (variables: Variables, context: Context | undefined) => void;
}

export interface OfflineMutation<Variables> {
  /** Resolves when it is on disk, connected or not. */
  readonly mutateAsync: (variables: Variables) => Promise<Enqueued>;
  /** The same; `onError` hears of a failure. */
  readonly mutate: (variables: Variables) => void;
  /** `pending` while one has not ended, or else what the last one ended with. */
  readonly status: 'idle' | 'pending' | 'success' | 'error';
  /** Why the last one failed. */
  readonly error: JobError | Error | null;
  readonly isPending: boolean;
  /** How many have not ended. */
  readonly pending: number;
  /** Those that have not ended, and those that were given up, whenever they were queued. */
  readonly jobs: readonly MutationJob<Variables>[];
  /** Queues one that was given up once more, or all of them. */
  readonly retry: (job?: number) => Promise<void>;
  /** Forgets one that waits or was given up, or all of them. */
  readonly discard: (job?: number) => Promise<void>;
}

interface Ended {
  readonly pending: number;
  readonly last: 'idle' | 'success' | 'error';
  readonly error: JobError | Error | null;
}

const NOTHING: Ended = { pending: 0, last: 'idle', error: null };
const NO_JOBS: readonly JobInfo[] = [];
const NO_LETTERS: readonly DeadLetter[] = [];

/** A mutation that waits for the network. Its callbacks run while the client is open; its effect does not need them. */
export function useOfflineMutation<Variables, Context = unknown>(
  options: OfflineMutationOptions<Variables, Context>,
): OfflineMutation<Variables> {
  const { queue } = useSyncClient();
  const latest = useRef(options);
  useLayoutEffect(() => {
    latest.current = options;
  });
  const [ended] = useState(() => new Store(NOTHING));
  const { pending, last, error } = useObservable(ended, NOTHING, all);
  const { mutationKey } = options;
  const handled = isHandled(options);

  useEffect(() => {
    if (mutationKey === undefined || !handled) return undefined;
    return queue.handle(mutationKey, async (payload, context) => {
      const { mutationFn } = latest.current;
      // Taken away in this moment: the job waits for a function, as it will from the next effect on.
      if (!mutationFn) throw new JobFailure('NETWORK', 'the function is not there any more');
      return mutationFn(payload as Variables, context);
    });
  }, [queue, mutationKey, handled]);

  const change = useCallback(
    (by: number) => {
      ended.set({ ...ended.get(), pending: ended.get().pending + by });
    },
    [ended],
  );
  const settle = useCallback(
    (end: JobEnd | Error, variables: Variables, context: Context | undefined) => {
      const { onSuccess, onError, onSettled } = latest.current;
      const outcome = end instanceof Error ? { error: end } : resultOf(end);
      const left = ended.get().pending - 1;
      if ('error' in outcome) {
        ended.set({ pending: left, last: 'error', error: outcome.error });
        queue.attempt(() => onError?.(outcome.error, variables, context));
      } else {
        ended.set({ pending: left, last: 'success', error: null });
        queue.attempt(() => onSuccess?.(outcome.result, variables, context));
      }
      queue.attempt(() => onSettled?.(variables, context));
    },
    [queue, ended],
  );

  // What tells its jobs from others, in a form that equals itself from render to render.
  const { scope = options.job?.lane, endpoint, method } = options;
  const url = typeof endpoint === 'string' ? endpoint : undefined;
  const isMine = useMemo(() => {
    const mutationFn = handled ? () => Promise.resolve() : undefined;
    const mine = { mutationFn, mutationKey, endpoint: url, method, scope };
    return (job: Pick<JobInfo, 'work' | 'lane'>) => belongs(mine, job);
  }, [handled, mutationKey, url, method, scope]);
  const isGone = useRef(false);
  useEffect(() => {
    isGone.current = false;
    return () => {
      isGone.current = true;
    };
  }, []);
  const waiter = useMemo(
    (): JobWaiter => ({
      kind: JSON.stringify([handled, mutationKey, url, method, scope]),
      isGone: () => isGone.current,
      onTaken: () => {
        change(-1);
      },
    }),
    [handled, mutationKey, url, method, scope, change],
  );

  const mutateAsync = useCallback(
    async (variables: Variables): Promise<Enqueued> => {
      let context: Context | undefined;
      change(1);
      try {
        const job = jobOf(latest.current, variables);
        context = await latest.current.onMutate?.(variables);
        const onEnd = (end: JobEnd) => {
          settle(end, variables, context);
        };
        return await queue.enqueue(job, onEnd, waiter);
      } catch (failure) {
        settle(failure instanceof Error ? failure : new Error(String(failure)), variables, context);
        throw failure;
      }
    },
    [queue, waiter, change, settle],
  );
  const mutate = useCallback(
    (variables: Variables) => {
      mutateAsync(variables).catch(() => undefined);
    },
    [mutateAsync],
  );

  const mineOf = useMemo(
    () =>
      <T extends Pick<JobInfo, 'work' | 'lane'>>(jobs: readonly T[]) =>
        jobs.filter(isMine),
    [isMine],
  );
  const waiting = useObservable(queue.jobs, NO_JOBS, mineOf<JobInfo>);
  const dead = useObservable(queue.deadLetters, NO_LETTERS, mineOf<DeadLetter>);
  const jobs = useMemo(
    () => [...waiting.map(waitingJob<Variables>), ...dead.map(deadJob<Variables>)],
    [waiting, dead],
  );

  // Those that were queued before a restart, or by a component that is gone, or that were given up and are retried.
  useEffect(() => {
    const adopt = () => {
      for (const { job, variables } of waiting.map(waitingJob<Variables>)) {
        const restored: { context?: Context | undefined } = {};
        const onEnd = (end: JobEnd) => {
          settle(end, variables, restored.context);
        };
        if (!queue.adopt(job, onEnd, waiter)) continue;
        change(1);
        queue.attempt(() => {
          restored.context = latest.current.onRestore?.(variables);
        });
      }
    };
    adopt();
    return queue.enqueued.subscribe(adopt);
  }, [queue, waiting, waiter, change, settle]);

  const retry = useCallback(
    async (job?: number) => {
      const given = queue.deadLetters.get().filter(isMine);
      for (const letter of given) if (job === undefined || letter.job === job) await queue.retry(letter.job);
    },
    [queue, isMine],
  );
  const discard = useCallback(
    async (job?: number) => {
      const known = [...queue.jobs.get(), ...queue.deadLetters.get()].filter(isMine);
      for (const mine of known) if (job === undefined || mine.job === job) await queue.drop(mine.job);
    },
    [queue, isMine],
  );
  const isPending = pending > 0;
  const status = isPending ? 'pending' : last === 'idle' && dead.length > 0 ? 'error' : last;
  return { mutateAsync, mutate, status, error, isPending, pending, jobs, retry, discard };
}
