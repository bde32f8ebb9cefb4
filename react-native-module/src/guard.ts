import { asSynclineError, type SynclineError } from './error.ts';

/** Who is told what went wrong outside of any call. */
export type Report = (error: SynclineError) => void;

/** Calls what the app gave. What that throws is reported: it keeps the news from nobody else. */
export function guarded(call: () => void, report: Report): void {
  try {
    call();
  } catch (error) {
    report(asSynclineError(error));
  }
}

/** Reports where no client listens. */
export function complain(error: SynclineError): void {
  console.error('A listener of Syncline failed:', error.cause ?? error);
}
