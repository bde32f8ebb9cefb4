// How a job is carried out, and what its end means.
import type { JobWork } from '../contract.ts';
import type { HttpResponse } from './backend.ts';
import { Failure } from './errors.ts';
import { failure, failureOfAnswer, type Job, type JobFailure, kindOf, readResponse } from './job-rules.ts';

/** What the queue asks of the rest of the core. */
export interface Carriers {
  readonly isConnected: boolean;
  readonly isConnecting: boolean;
  readonly mayRequest: boolean;
  emit(name: string, args: readonly unknown[], answered: (args: readonly unknown[]) => void): void;
  request(work: Extract<JobWork, { request: unknown }>['request'], key: string): Promise<HttpResponse>;
  /** Carries on with what came in. */
  turn(work: () => void): void;
}

/** The result of an attempt, or what failed. */
export type AttemptEnd = readonly unknown[] | JobFailure;

/** Sends an event or a request; a handler's job is the app's. */
export function carry(
  { work, idempotencyKey }: Job,
  carriers: Carriers,
  namesKey: boolean,
  ended: (end: AttemptEnd) => void,
): void {
  if ('event' in work) {
    const { name, args } = work.event;
    carriers.emit(name, [...args, ...(namesKey ? [{ idempotencyKey }] : [])], (answer) => {
      ended(failureOfAnswer(answer) ?? answer);
    });
  } else if ('request' in work) {
    const finish = (end: AttemptEnd) => {
      carriers.turn(() => {
        ended(end);
      });
    };
    void carriers.request(work.request, idempotencyKey).then(
      (response) => {
        finish(readResponse(response));
      },
      (error: unknown) => {
        const code = error instanceof Failure ? error.code : 'unreachable';
        finish(failure('NETWORK', code, error instanceof Error ? error.message : String(error)));
      },
    );
  }
}

/** Nobody answered in time. */
export function overdue(work: JobWork): JobFailure {
  return {
    event: failure('SERVER', 'timeout', 'the server did not acknowledge the event'),
    request: failure('NETWORK', 'timeout', 'the request took too long'),
    handler: failure('UNKNOWN', 'timeout', 'the handler did not answer in time', { counts: false }),
  }[kindOf(work)];
}
