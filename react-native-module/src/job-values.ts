import type { JobWork } from './contract.ts';
import { portable } from './portable.ts';

/** What a job does, for `pack`: its values may hold bytes. */
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
