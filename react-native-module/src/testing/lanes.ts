import type { Settings } from '../contract.ts';
import type { Ended, Job } from './job-rules.ts';

/** How a lane waits after failures. */
interface Wait {
  /** Failures in a row. */
  failures: number;
  untilMs: number;
  /** Whether news of the network, or of the app's wish, ends the waiting. */
  canBeHurried: boolean;
}

/** The lanes of the queue: which wait, and for how long. */
export class Lanes {
  readonly #waits = new Map<string, Wait>();
  readonly #settings: Settings;
  readonly #now: () => number;

  constructor(settings: Settings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  /** The lane works: its next failure is its first again. */
  reset(name: string): void {
    this.#waits.delete(name);
  }

  /** Ends the waiting of lanes that were not told to wait. */
  hurry(): void {
    for (const lane of this.#waits.values()) if (lane.canBeHurried) lane.untilMs = 0;
  }

  /** Counts a failure; those that were under way together count once. */
  countFailure(name: string): number {
    const lane = this.#waits.get(name) ?? { failures: 0, untilMs: 0, canBeHurried: true };
    this.#waits.set(name, lane);
    if (lane.untilMs <= this.#now()) lane.failures += 1;
    return lane.failures;
  }

  delay(name: string, failures: number, adviceMs: number | null): void {
    const { jobRetryDelayMs, jobRetryDelayMsMax } = this.#settings;
    const ownMs = Math.min(
      jobRetryDelayMs * 2 ** (failures - 1),
      Math.max(jobRetryDelayMs, jobRetryDelayMsMax),
    );
    const lane = this.#waits.get(name);
    if (!lane) return;
    lane.untilMs = Math.max(lane.untilMs, this.#now() + Math.max(ownMs, adviceMs ?? 0, 1));
    lane.canBeHurried = adviceMs === null;
  }

  waits(name: string): boolean {
    return (this.#waits.get(name)?.untilMs ?? 0) > this.#now();
  }

  get nextMs(): number {
    const times = [...this.#waits.values()].map(({ untilMs }) => untilMs);
    return Math.min(Infinity, ...times.filter((untilMs) => untilMs > this.#now()));
  }
}

/** The first job of a lane, if what is under way, has failed or comes before it lets it start. */
export function headOf(
  name: string,
  held: ReadonlyMap<number, Job>,
  ended: readonly Ended[],
  isRunning: (id: number) => boolean,
  streamMax: number,
): Job | null {
  const jobs = [...held.values()].filter(({ lane }) => lane === name);
  const running = jobs.filter(({ id }) => isRunning(id));
  const head = jobs.find(({ id }) => !isRunning(id));
  if (!head) return null;
  const streams = ({ policy, work }: Job) => policy === 'stream' && 'event' in work;
  const mayFollow = running.every(streams) && streams(head) && running.length < streamMax;
  const isHeld = ended.some(({ job, end }) => job.lane === name && job.policy === 'hold' && 'reason' in end);
  const follows = head.after.some((first) => held.has(first));
  return (running.length > 0 && !mayFollow) || isHeld || follows ? null : head;
}
