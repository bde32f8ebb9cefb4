// Commands that are answered once something has come about.
import { Failure } from './errors.ts';
import type { Jobs } from './jobs.ts';
import type { Outbox } from './outbox.ts';
import type { Replica } from './replica.ts';
import type { Session } from './session.ts';

interface Goal {
  /** The rooms that are to have caught up; null for all. */
  readonly rooms: readonly string[] | null;
  /** Writes and jobs up to these numbers are to be answered; null where they are not waited for. */
  readonly through: { readonly seq: number; readonly job: number } | null;
  /** Whether the connection is kept open for it, and every end is told as a report. */
  readonly isTask: boolean;
}

interface Waiting extends Goal {
  readonly deadlineMs: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Failure) => void;
}

/** What has to come about somewhere. */
interface Parts {
  readonly session: Session;
  readonly replica: Replica;
  readonly outbox: Outbox;
  readonly jobs: Jobs;
}

export class Goals {
  readonly #parts: Parts;
  readonly #now: () => number;
  #waiting: Waiting[] = [];

  constructor(parts: Parts, now: () => number) {
    this.#parts = parts;
    this.#now = now;
  }

  get nextMs(): number {
    return Math.min(Infinity, ...this.#waiting.map(({ deadlineMs }) => deadlineMs));
  }

  waitFor(goal: Goal, ms: number): Promise<unknown> {
    const deadlineMs = this.#now() + ms;
    return new Promise((resolve, reject) => this.#waiting.push({ ...goal, deadlineMs, resolve, reject }));
  }

  close(): void {
    const closed = new Failure('closed', 'the client is closed');
    for (const { reject } of this.#waiting.splice(0)) reject(closed);
  }

  /** Answers those who have waited long enough. */
  work(): void {
    for (const goal of [...this.#waiting]) {
      const answer = this.#answerTo(goal);
      if (answer === null) continue;
      this.#waiting = this.#waiting.filter((other) => other !== goal);
      const error = answer instanceof Failure ? answer : null;
      if (goal.isTask) {
        const pending = this.#parts.outbox.count;
        goal.resolve({ complete: error === null, pending, reason: error?.body ?? null });
        this.#parts.session.endTask();
      } else if (error) {
        goal.reject(error);
      } else {
        goal.resolve({});
      }
    }
  }

  #answerTo({ rooms, through, isTask, deadlineMs }: Waiting): true | Failure | null {
    const { session, replica, outbox, jobs } = this.#parts;
    const isLate = deadlineMs <= this.#now();
    const late = isLate ? new Failure('timeout', 'the server did not answer in time') : null;
    const hindrance = session.reason ?? new Failure('offline', 'there is no connection');
    const needsServer = rooms === null || rooms.length > 0;
    const answers = [
      session.isOpen || !needsServer ? replica.caughtUp(rooms ?? replica.followed) : null,
      through ? outbox.answered(through.seq) : true,
      through ? jobs.answered(through.job) : true,
    ];
    const result = answers.includes(null)
      ? null
      : (answers.find((answer) => answer instanceof Failure) ?? true);
    if (isTask && !session.isOpen) {
      const isOver = session.state === 'idle' || session.state === 'closed' || isLate;
      return isOver ? hindrance : null;
    }
    if (result ?? late) return result ?? late;
    return isTask || session.isOpen || session.state === 'connecting' ? null : hindrance;
  }
}
