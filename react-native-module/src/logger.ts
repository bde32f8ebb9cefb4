import type { LogLevel, LogLine } from './contract.ts';
import { SynclineError } from './error.ts';
import type { Host } from './host.ts';

export type Logger = (line: LogLine) => void;

/**
 * Sets who gets the log of the core, and from which level on; null ends it. There is one log per process. No line holds
 * a token, a document or the name of a room.
 */
export function setHostLogger(host: Host, level: LogLevel, logger: Logger | null): void {
  if (!host.setLogSink) {
    const message = 'this host does not carry the log';
    throw new SynclineError({ code: 'unavailable', message, retry: 'never' });
  }
  const sink =
    logger &&
    ((lines: string) => {
      for (const line of JSON.parse(lines) as LogLine[]) logger(line);
    });
  const reply = JSON.parse(host.setLogSink(level, sink)) as object;
  if ('error' in reply) throw new SynclineError(reply.error as SynclineError['body']);
}
