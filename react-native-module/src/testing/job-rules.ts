// What a job is, and what a failure of it means.
import type {
  Category,
  Code,
  DeadLetter,
  DeadReason,
  JobError,
  JobInfo,
  JobKind,
  JobOutcome,
  JobWork,
  LanePolicy,
  NewJob,
  RetryClass,
} from '../contract.ts';
import type { HttpResponse } from './backend.ts';
import { Failure, isCode } from './errors.ts';
import { copy, equal, type Fields, isObject } from './values.ts';

const AFTER_MAX = 64;
const RESERVED_HEADERS = [
  'host',
  'content-length',
  'connection',
  'transfer-encoding',
  'upgrade',
  'idempotency-key',
];
const RESPONSE_HEADERS = ['content-type', 'date', 'etag', 'last-modified', 'location', 'retry-after'];

export interface Job {
  readonly id: number;
  readonly work: JobWork;
  readonly lane: string;
  readonly dedupeKey: string | null;
  readonly dedupe: boolean;
  readonly idempotencyKey: string;
  readonly priority: number;
  readonly after: readonly number[];
  readonly queuedAtMs: number;
  readonly expiresAtMs: number | null;
  readonly attemptsMax: number;
  readonly policy: LanePolicy;
  readonly keepOutcome: boolean;
  attempts: number;
  lastError: JobError | null;
}

/** A job that ended, kept until the app has dealt with that. */
export interface Ended {
  readonly job: Job;
  readonly end:
    | { readonly result: unknown[] }
    | { readonly reason: DeadReason; readonly error: JobError; readonly diedAtMs: number };
}

export function kindOf(work: JobWork): JobKind {
  if ('event' in work) return 'event';
  return 'request' in work ? 'request' : 'handler';
}

export function isSameWork(left: JobWork, right: JobWork): boolean {
  return equal(copy(left) as unknown as Fields, copy(right) as unknown as Fields);
}

export function jobError(category: Category, code: string, message: string): JobError {
  return { category, code, message, status: null };
}

export function laneOf({ lane, work }: NewJob): string {
  if (lane !== undefined) return lane;
  if ('event' in work) return `event:${work.event.name}`;
  if ('handler' in work) return `handler:${work.handler.key}`;
  return `request:${/^[^?#]*/.exec(work.request.url)?.[0] ?? ''}`;
}

export function checkWork(work: JobWork): void {
  if ('event' in work && work.event.namespace !== undefined && work.event.namespace !== '/') {
    throw new Failure('invalid', 'events are queued for the namespace / only');
  }
  if (!('request' in work)) return;
  const { method, url, headers = {} } = work.request;
  if (!/^[A-Za-z]+$/.test(method)) throw new Failure('invalid', 'the method is not a word');
  if (/^[a-z][a-z0-9+.-]*:/i.test(url) && !/^https?:/i.test(url)) {
    throw new Failure('invalid', 'the URL must be a path or begin with http or https');
  }
  for (const name of Object.keys(headers)) {
    if (RESERVED_HEADERS.includes(name.toLowerCase()))
      throw new Failure('invalid', `the client sets the header ${name}`);
  }
}

export function checkAfter(after: readonly number[]): void {
  if (after.length > AFTER_MAX) throw new Failure('invalid', `a job follows at most ${AFTER_MAX} others`);
}

export function jobInfo(job: Job, isRunning: boolean): JobInfo {
  const { id, work, lane, priority, after, attempts, attemptsMax, queuedAtMs, expiresAtMs, idempotencyKey } =
    job;
  return {
    job: id,
    work,
    lane,
    state: isRunning ? 'running' : 'waiting',
    priority,
    after: [...after],
    attempts,
    attemptsMax,
    queuedAtMs,
    expiresAtMs,
    idempotencyKey,
    error: job.lastError,
  };
}

export function deadLetter({ job, end }: Ended): DeadLetter | null {
  if (!('reason' in end)) return null;
  const { id, work, lane, attempts, policy, queuedAtMs } = job;
  return { job: id, work, lane, attempts, ...end, holdsLane: policy === 'hold', queuedAtMs };
}

export function jobOutcome(job: Job, result: unknown[]): JobOutcome {
  return { job: job.id, kind: kindOf(job.work), lane: job.lane, result, kept: job.keepOutcome };
}

export function outcomeOf({ job, end }: Ended): JobOutcome | null {
  return 'result' in end ? jobOutcome(job, end.result) : null;
}

/** A failed attempt. */
export interface JobFailure {
  readonly error: JobError;
  readonly retryAfterMs: number | null;
  /** Whether it uses up an attempt. */
  readonly counts: boolean;
}

export function failure(
  category: Category,
  code: string,
  message: string,
  {
    retryAfterMs = null,
    status = null,
    counts = true,
  }: Partial<Omit<JobFailure, 'error'>> & { status?: number | null } = {},
): JobFailure {
  const isBlamed = category !== 'NETWORK' && category !== 'AUTH';
  const isLater = retryAfterMs !== null;
  return { error: { category, code, message, status }, retryAfterMs, counts: counts && isBlamed && !isLater };
}

export function retryOf(category: Category): RetryClass {
  if (category === 'AUTH') return 'after_auth';
  return category === 'VALIDATION' ? 'never' : 'later';
}

const CATEGORIES: Partial<Record<Code, Category>> = {
  unauthorized: 'AUTH',
  no_auth_token: 'AUTH',
  conflict: 'CONFLICT',
  rate_limited: 'SERVER',
  unavailable: 'SERVER',
  internal: 'SERVER',
};

/** What an acknowledgement `{error: {code, message, retry_after_ms?}}` means; null for any other. */
export function failureOfAnswer([first]: readonly unknown[]): JobFailure | null {
  const { error } = isObject(first) ? first : {};
  const { code, message = '', retry_after_ms: advice } = isObject(error) ? error : {};
  if (typeof code !== 'string') return null;
  const category = (isCode(code) ? CATEGORIES[code] : undefined) ?? 'VALIDATION';
  return failure(category, code, typeof message === 'string' ? message : '', {
    retryAfterMs: typeof advice === 'number' ? advice : null,
    counts: code !== 'rate_limited',
  });
}

const STATUSES: readonly (readonly [from: number, to: number, Category, Code, boolean])[] = [
  [401, 401, 'AUTH', 'unauthorized', false],
  [407, 408, 'NETWORK', 'unreachable', false],
  [409, 409, 'CONFLICT', 'conflict', true],
  [429, 429, 'SERVER', 'rate_limited', false],
  [425, 425, 'SERVER', 'unavailable', true],
  [500, 599, 'SERVER', 'unavailable', true],
  [403, 403, 'VALIDATION', 'forbidden', true],
  [404, 404, 'VALIDATION', 'not_found', true],
  [410, 410, 'VALIDATION', 'not_found', true],
  [413, 414, 'VALIDATION', 'too_large', true],
  [431, 431, 'VALIDATION', 'too_large', true],
  [300, 499, 'VALIDATION', 'invalid', true],
];

/** The result of a response, or what failed. */
export function readResponse({ status, headers = {}, body = null }: HttpResponse): unknown[] | JobFailure {
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  if (status >= 200 && status < 300) {
    const told = named.filter(([name]) => RESPONSE_HEADERS.includes(name));
    return [{ status, headers: Object.fromEntries(told), body }];
  }
  const [, , category, code, counts] = STATUSES.find(([from, to]) => status >= from && status <= to) ?? [
    0,
    0,
    'UNKNOWN',
    'protocol',
    true,
  ];
  const seconds = Number(new Map(named).get('retry-after') ?? NaN);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : null;
  const { message } = isObject(body) ? body : {};
  const said = typeof message === 'string' ? `: ${message}` : '';
  return failure(category, code, `the server answered with status ${status}${said}`, {
    status,
    retryAfterMs,
    counts,
  });
}
