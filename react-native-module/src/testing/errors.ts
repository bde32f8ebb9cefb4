import type { Code, ErrorBody, RetryClass } from '../contract.ts';

/** What helps after each error, as the core says it. */
const RETRY: Record<Code, RetryClass> = {
  no_auth_token: 'after_auth',
  unauthorized: 'after_auth',
  offline: 'later',
  unreachable: 'later',
  tls_pin_mismatch: 'later',
  tls_not_ready: 'later',
  queue_full: 'later',
  in_use: 'later',
  disk_full: 'later',
  locked: 'later',
  protocol: 'later',
  timeout: 'later',
  rate_limited: 'later',
  unavailable: 'later',
  internal: 'later',
  forbidden: 'never',
  invalid_url: 'never',
  invalid: 'never',
  too_large: 'never',
  not_found: 'never',
  storage: 'never',
  wrong_key: 'never',
  schema_too_new: 'never',
  unsupported_protocol: 'never',
  closed: 'never',
  conflict: 'never',
};

/** An error of the fake core, or one that a fake server answers with. */
export class Failure extends Error {
  readonly code: Code;
  /** How long to wait before the next attempt, as a server may ask. */
  readonly retryAfterMs: number | null;

  constructor(code: Code, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  get retry(): RetryClass {
    return RETRY[this.code];
  }

  get body(): ErrorBody {
    const { code, message, retry } = this;
    return { code, message, retryable: retry !== 'never', retry };
  }
}

export function isCode(text: unknown): text is Code {
  return typeof text === 'string' && Object.hasOwn(RETRY, text);
}
