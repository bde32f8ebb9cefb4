/** What a request, or a mutation, is refused with. */
export class Refusal extends Error {
  constructor(code, message, retryAfterMs = null) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  toWire() {
    return { code: this.code, message: this.message, retry_after_ms: this.retryAfterMs };
  }
}

export const invalid = (message) => new Refusal('invalid', message);
export const tooLarge = (message) => new Refusal('too_large', message);
