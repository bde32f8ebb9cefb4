import type { DeadLetter, JobError, JobInfo, JobWork, NewJob } from './contract.ts';
import { invalid } from './error.ts';
import type { HandlerContext } from './job-handlers.ts';
import { type JobEnd, type JobOptions, requestWork } from './jobs.ts';

/** What a mutation does with its variables, whenever that can be done. */
export interface MutationWork<Variables> {
  /** What is done while JavaScript runs. Needs `mutationKey`. */
  readonly mutationFn?: ((variables: Variables, context: HandlerContext) => Promise<unknown>) | undefined;
  /** Names the function across restarts of the app. */
  readonly mutationKey?: string | undefined;
  /**
   * Where the variables are sent, also while JavaScript does not run. Beside a `mutationFn` without a `mutationKey`, this is
   * what is done: a function that nothing names cannot be found again after a restart.
   */
  readonly endpoint?: string | ((variables: Variables) => string) | undefined;
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Mutations of one scope are done one after the other, whatever they do: the lane of their jobs. */
  readonly scope?: string | undefined;
  /** How the job is queued. */
  readonly job?: JobOptions | undefined;
}

/** One mutation that has not ended, or was given up. It outlives the app. */
export interface MutationJob<Variables> {
  readonly job: number;
  readonly variables: Variables;
  readonly state: JobInfo['state'] | 'dead';
  readonly attempts: number;
  /** Why the last attempt failed. */
  readonly error: JobError | null;
}

const DROPPED: JobError = { category: 'UNKNOWN', code: 'dropped', message: 'it was dropped', status: null };

/** Whether a function of the app is what is done. */
export function isHandled<Variables>({
  mutationFn,
  mutationKey,
  endpoint,
}: MutationWork<Variables>): boolean {
  return mutationFn !== undefined && (mutationKey !== undefined || endpoint === undefined);
}

export function jobOf<Variables>(mutation: MutationWork<Variables>, variables: Variables): NewJob {
  const { mutationKey, endpoint, method, headers, scope, job } = mutation;
  const how = { ...job, ...(scope !== undefined && { lane: scope }) };
  if (isHandled(mutation)) {
    if (mutationKey === undefined) throw invalid('mutationFn needs a mutationKey, or an endpoint beside it');
    return { ...how, work: { handler: { key: mutationKey, payload: variables } } };
  }
  if (endpoint === undefined) throw invalid('either mutationFn or endpoint is needed');
  const url = typeof endpoint === 'function' ? endpoint(variables) : endpoint;
  return { ...how, work: requestWork({ endpoint: url, method, headers, data: variables }) };
}

/**
 * Tells the jobs of a mutation from others, also those queued before a restart: by its scope, or by what they do. Where
 * only the variables say where they are sent, a scope is needed.
 */
export function belongs<Variables>(
  mutation: MutationWork<Variables>,
  { work, lane }: Pick<JobInfo, 'work' | 'lane'>,
): boolean {
  const { mutationKey, endpoint, method = 'POST', scope = mutation.job?.lane } = mutation;
  if (scope !== undefined) return lane === scope;
  if (isHandled(mutation)) return 'handler' in work && work.handler.key === mutationKey;
  return 'request' in work && work.request.url === endpoint && work.request.method === method;
}

export function waitingJob<Variables>({
  job,
  work,
  state,
  attempts,
  error,
}: JobInfo): MutationJob<Variables> {
  return { job, variables: variablesOf(work) as Variables, state, attempts, error };
}

export function deadJob<Variables>({ job, work, attempts, error }: DeadLetter): MutationJob<Variables> {
  return { job, variables: variablesOf(work) as Variables, state: 'dead', attempts, error };
}

export function variablesOf(work: JobWork): unknown {
  if ('handler' in work) return work.handler.payload;
  return 'request' in work ? work.request.body : undefined;
}

/** What a mutation ended with: a result, or why there is none. */
export function resultOf(end: JobEnd): { readonly result: unknown } | { readonly error: JobError } {
  if (end.type === 'done') return { result: end.outcome.result[0] ?? null };
  return { error: end.type === 'dead' ? end.letter.error : DROPPED };
}
