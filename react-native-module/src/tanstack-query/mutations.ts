import type { MutationFunctionContext, MutationOptions, QueryClient } from '@tanstack/react-query';

import type { SyncClient } from '../client.ts';
import type { JobError } from '../contract.ts';
import type { JobEnd } from '../jobs.ts';
import { belongs, jobOf, type MutationWork, resultOf, waitingJob } from '../mutations.ts';
import type { Unsubscribe } from '../observable.ts';

/** What a mutation was given up for. */
export class MutationFailure extends Error {
  override readonly name = 'MutationFailure';
  readonly reason: JobError;

  constructor(reason: JobError) {
    super(reason.message);
    this.reason = reason;
  }
}

/** A mutation that waits for the network, and survives the app. */
export interface OfflineMutationDefinition<Variables, Context = unknown>
  extends
    MutationWork<Variables>,
    Pick<
      MutationOptions<unknown, MutationFailure, Variables, Context>,
      'onMutate' | 'onError' | 'onSuccess' | 'onSettled' | 'meta'
    > {
  /** Names it across restarts of the app. */
  readonly mutationKey: string;
}

/** A definition of any variables and any context. */
export type AnyOfflineMutation = Omit<OfflineMutationDefinition<never, never>, 'onMutate'> & {
  readonly onMutate?: (variables: never, context: MutationFunctionContext) => unknown;
};

type Options<Variables, Context> = MutationOptions<unknown, MutationFailure, Variables, Context>;

/** Options for `useMutation`. It is pending until it is done or given up; what is to be done is on disk before. */
export function offlineMutation<Variables, Context = unknown>(
  client: SyncClient,
  definition: OfflineMutationDefinition<Variables, Context>,
): Options<Variables, Context> {
  return optionsOf(definition, (variables) => {
    const job = jobOf(workOf(definition), variables);
    return new Promise((resolve, reject) => {
      client.queue.enqueue(job, ended(resolve, reject)).catch(reject);
    });
  });
}

/**
 * Goes on with what was queued before the app was restarted, until the returned function is called: each one is a pending
 * mutation again, with `onMutate` to show it, and with the others to take it back or to keep it. Functions that are named are
 * called from now on. To be called once, at the start.
 */
export function resumeOfflineMutations(
  client: SyncClient,
  queryClient: QueryClient,
  definitions: readonly AnyOfflineMutation[],
): Unsubscribe {
  const known = definitions as readonly OfflineMutationDefinition<unknown>[];
  const ends = known.map(({ mutationFn, mutationKey, endpoint }) =>
    mutationFn && endpoint === undefined ? client.queue.handle(mutationKey, mutationFn) : () => undefined,
  );
  const resume = () => {
    for (const info of client.queue.jobs.get()) {
      const definition = known.find((candidate) => belongs(workOf(candidate), info));
      if (definition) resumeOne(client, queryClient, definition, waitingJob(info));
    }
  };
  ends.push(client.queue.jobs.subscribe(resume));
  resume();
  return () => {
    for (const end of ends) end();
  };
}

function resumeOne(
  client: SyncClient,
  queryClient: QueryClient,
  definition: OfflineMutationDefinition<unknown>,
  { job, variables }: { readonly job: number; readonly variables: unknown },
): void {
  let settle: (end: JobEnd) => void = () => undefined;
  const done = new Promise<unknown>((resolve, reject) => {
    settle = ended(resolve, reject);
  });
  const isNew = client.queue.adopt(job, (end) => {
    settle(end);
  });
  if (!isNew) return;
  // It may end before `onMutate` does.
  done.catch(() => undefined);
  const options = optionsOf(definition, () => done);
  const mutation = queryClient.getMutationCache().build(queryClient, options);
  // What it failed for is told by its callbacks.
  mutation.execute(variables).catch(() => undefined);
}

/** Without a scope of its own, a mutation has its name as its lane: that is how it is found again. */
function workOf<Variables, Context>({
  scope,
  mutationKey,
  mutationFn,
  ...work
}: OfflineMutationDefinition<Variables, Context>): MutationWork<Variables> {
  const lane = scope ?? work.job?.lane ?? mutationKey;
  return work.endpoint === undefined
    ? { ...work, mutationKey, mutationFn, scope: lane }
    : { ...work, scope: lane };
}

function optionsOf<Variables, Context>(
  {
    mutationKey,
    onMutate,
    onError,
    onSuccess,
    onSettled,
    meta,
  }: OfflineMutationDefinition<Variables, Context>,
  mutationFn: (variables: Variables) => Promise<unknown>,
): Options<Variables, Context> {
  return {
    mutationKey: ['syncline', mutationKey],
    mutationFn,
    // The core waits for the network, and tries again.
    networkMode: 'always',
    retry: false,
    ...(onMutate && { onMutate }),
    ...(onError && { onError }),
    ...(onSuccess && { onSuccess }),
    ...(onSettled && { onSettled }),
    ...(meta && { meta }),
  };
}

function ended(resolve: (result: unknown) => void, reject: (failure: MutationFailure) => void) {
  return (end: JobEnd): void => {
    const outcome = resultOf(end);
    if ('error' in outcome) reject(new MutationFailure(outcome.error));
    else resolve(outcome.result);
  };
}
