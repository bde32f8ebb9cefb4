/** Where every fake begins: 2026-01-01T00:00:00Z, so that a test sees the same times at each run. */
const START_MS = 1_767_225_600_000;

/**
 * Microtasks between two turns: whoever awaits the answer of one has gone on before the next, as between two messages
 * of a host.
 */
const MICROTASKS_PER_TURN = 8;

/** Microtasks without a turn after which nothing more is expected at this moment. */
const IDLE_MICROTASKS = 64;

/** Turns within one moment, beyond which something goes round in circles. */
const TURNS_MAX = 100_000;

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** Time that stands still until it is told to go on. Everything of one fake world runs on one clock. */
export class Clock {
  #nowMs = START_MS;
  /** Turns begun. */
  #turns = 0;
  readonly #waiting: (() => void)[] = [];
  #isPumping = false;
  /** In the order in which they are due. */
  readonly #timers: Timer[] = [];

  /** Milliseconds since the epoch. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** When the next timer is due; null when there is none. */
  get nextMs(): number | null {
    return this.#timers[0]?.atMs ?? null;
  }

  /** Runs it after everything that is under way, at this moment. Promises only: a test may have replaced the timers. */
  turn(run: () => void): void {
    this.#waiting.push(run);
    if (!this.#isPumping) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      while (this.#waiting.length > 0) {
        for (let hop = 0; hop < MICROTASKS_PER_TURN; hop += 1) await Promise.resolve();
        this.#turns += 1;
        this.#waiting.shift()?.();
      }
    } finally {
      this.#isPumping = false;
    }
  }

  /** Runs it at a time; what is returned calls it off. */
  at(atMs: number, run: () => void): () => void {
    const timer = { atMs: Math.max(atMs, this.#nowMs), run };
    const place = this.#timers.findIndex((other) => other.atMs > timer.atMs);
    this.#timers.splice(place < 0 ? this.#timers.length : place, 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  /** Runs it after a delay: without one, in a turn of this moment. */
  after(ms: number, run: () => void): void {
    if (ms > 0) this.at(this.#nowMs + ms, run);
    else this.turn(run);
  }

  /** Resolves when nothing more happens at this moment. */
  async settle(): Promise<void> {
    const begun = this.#turns;
    for (let idle = 0; idle < IDLE_MICROTASKS; idle += 1) {
      const before = this.#turns;
      await Promise.resolve();
      if (this.#turns > before || this.#waiting.length > 0) idle = 0;
      if (this.#turns - begun > TURNS_MAX)
        throw new Error(`more than ${TURNS_MAX} turns without time passing`);
    }
  }

  /** Lets time pass, and everything happen that is due within it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#timers[0]; next && next.atMs <= untilMs; next = this.#timers[0]) {
      this.#timers.shift();
      this.#nowMs = next.atMs;
      this.#turns += 1;
      next.run();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }
}
