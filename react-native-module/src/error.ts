import type { ErrorBody, Code } from './contract.ts';

/** What every operation of Syncline rejects with. `retryable` says whether the same call may succeed later. */
export class SynclineError extends Error {
  override readonly name = 'SynclineError';
  readonly code: Code;
  readonly retryable: boolean;

  constructor(body: ErrorBody, options?: ErrorOptions) {
    super(body.message, options);
    this.code = body.code;
    this.retryable = body.retryable;
  }

  /** The error as plain data. */
  get body(): ErrorBody {
    return { code: this.code, message: this.message, retryable: this.retryable };
  }
}

/** The argument or option is wrong: calling again cannot help. */
export function invalid(message: string): SynclineError {
  return new SynclineError({ code: 'invalid', message, retryable: false });
}

/** Anything thrown, as a `SynclineError`. */
export function asSynclineError(error: unknown): SynclineError {
  if (error instanceof SynclineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SynclineError({ code: 'internal', message, retryable: false }, { cause: error });
}

/** What every call of a closed client rejects with. */
export function closed(): SynclineError {
  return new SynclineError({ code: 'closed', message: 'the client is closed', retryable: false });
}
