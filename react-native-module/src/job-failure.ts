import type { Category, JobCommand, JobError } from './contract.ts';
import { SynclineError } from './error.ts';

/** Thrown by a handler to say what its failure means. */
export class JobFailure extends Error {
  readonly category: Category;
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    category: Category,
    message: string,
    { code = '', retryAfterMs }: { readonly code?: string; readonly retryAfterMs?: number } = {},
  ) {
    super(message);
    this.name = 'JobFailure';
    this.category = category;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

type Failed = Omit<Extract<JobCommand, { type: 'fail' }>, 'type' | 'job' | 'lease'>;

/** What a handler's error means: what it says itself, by an HTTP status, or as `fetch` fails without a network. */
export function failureOf(error: unknown): Failed {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof JobFailure) {
    const { category, code, retryAfterMs } = error;
    return { category, code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  // A result that cannot be kept: another attempt would do it all once more, and end as this one.
  if (error instanceof SynclineError && error.code === 'invalid') {
    return { category: 'VALIDATION', code: error.code, message };
  }
  const status = (error as { status?: unknown } | null)?.status;
  if (typeof status === 'number') return { category: categoryOf(status), code: String(status), message };
  return { category: isWithoutNetwork(error) ? 'NETWORK' : 'UNKNOWN', message };
}

/**
 * What `fetch` says when there is no answer: React Native's, twice, Chrome's, Node's, Safari's and Firefox's. Any other
 * `TypeError` is a mistake in the handler.
 */
const WITHOUT_NETWORK: readonly string[] = [
  'Network request failed',
  'Network request timed out',
  'Failed to fetch',
  'fetch failed',
  'Load failed',
  'NetworkError when attempting to fetch resource.',
];

/** Expo's `fetch` puts its reason behind this, and throws no `TypeError`. What the handler itself called off is no network. */
const EXPO_PREFIX = 'fetch failed: ';
const EXPO_ABORTED = `${EXPO_PREFIX}The operation was aborted.`;

function isWithoutNetwork(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { message } = error;
  if (error instanceof TypeError && WITHOUT_NETWORK.includes(message)) return true;
  return message.startsWith(EXPO_PREFIX) && message !== EXPO_ABORTED;
}

function categoryOf(status: number): JobError['category'] {
  if (status === 401) return 'AUTH';
  if (status === 407 || status === 408) return 'NETWORK';
  if (status === 409) return 'CONFLICT';
  if (status === 425 || status === 429 || status >= 500) return 'SERVER';
  return status >= 300 ? 'VALIDATION' : 'UNKNOWN';
}
