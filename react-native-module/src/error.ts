import type { Code, ErrorBody, RetryClass } from './contract.ts';

/** What every operation of Syncline rejects with. `retry` says what helps. */
export class SynclineError extends Error {
  override readonly name = 'SynclineError';
  readonly code: Code;
  readonly retry: RetryClass;

  constructor(body: Omit<ErrorBody, 'retryable'>, options?: ErrorOptions) {
    super(body.message, options);
    this.code = body.code;
    this.retry = body.retry;
  }

  /** Whether the same call may succeed later. */
  get retryable(): boolean {
    return this.retry !== 'never';
  }

  /** The error as plain data. */
  get body(): ErrorBody {
    return { code: this.code, message: this.message, retryable: this.retryable, retry: this.retry };
  }
}

/** The argument or option is wrong: calling again cannot help. */
export function invalid(message: string): SynclineError {
  return new SynclineError({ code: 'invalid', message, retry: 'never' });
}

/** Anything thrown, as a `SynclineError`. */
export function asSynclineError(error: unknown): SynclineError {
  if (error instanceof SynclineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SynclineError({ code: 'internal', message, retry: 'never' }, { cause: error });
}

/** What every call of a closed client rejects with. */
export function closed(): SynclineError {
  return new SynclineError({ code: 'closed', message: 'the client is closed', retry: 'never' });
}
