import type { JobWork } from './contract.ts';
import { fromPortable, portable } from './portable.ts';

/** What a job does, as the core reads it: its values may hold bytes. */
export function encodeWork(work: JobWork): JobWork {
  if ('event' in work) {
    const args = work.event.args.map((arg, index) => portable(arg, `argument ${index + 1}`));
    return { event: { ...work.event, args } };
  }
  if ('request' in work) {
    const { body, ...request } = work.request;
    return { request: { ...request, ...(body !== undefined && { body: portable(body, 'the body') }) } };
  }
  return { handler: { ...work.handler, payload: portable(work.handler.payload, 'the payload') } };
}

/** Something of a job with its work as the app gave it. */
export function withDecodedWork<T extends { work: JobWork }>(job: T): T {
  return { ...job, work: decodeWork(job.work) };
}

function decodeWork(work: JobWork): JobWork {
  if ('event' in work) return { event: { ...work.event, args: fromPortable(work.event.args) } };
  if ('request' in work) {
    const { body, ...request } = work.request;
    return { request: { ...request, ...(body !== undefined && { body: fromPortable([body])[0] }) } };
  }
  return { handler: { ...work.handler, payload: fromPortable([work.handler.payload])[0] } };
}

/** Something with a job's result as the app sees it. */
export function withDecodedResult<T extends { result: unknown[] }>(outcome: T): T {
  return { ...outcome, result: fromPortable(outcome.result) };
}
