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
  return { category: error instanceof TypeError ? 'NETWORK' : 'UNKNOWN', message };
}

function categoryOf(status: number): JobError['category'] {
  if (status === 401) return 'AUTH';
  if (status === 408) return 'NETWORK';
  if (status === 409) return 'CONFLICT';
  if (status === 425 || status === 429 || status >= 500) return 'SERVER';
  return status >= 300 ? 'VALIDATION' : 'UNKNOWN';
}
