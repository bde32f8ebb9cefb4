import type { LogLevel, LogLine } from './contract.ts';
import { invalid, SynclineError } from './error.ts';
import { complain, guarded } from './guard.ts';
import type { Host } from './host.ts';
import { once, type Unsubscribe } from './observable.ts';

export type Logger = (line: LogLine) => void;

/** Each level holds those before it. */
const LEVELS: readonly LogLevel[] = ['off', 'error', 'warn', 'info', 'debug', 'trace'];

interface Entry {
  readonly level: LogLevel;
  readonly logger: Logger;
}

interface HostLog {
  readonly entries: Set<Entry>;
  /** The one of `setLogger`. */
  own: Unsubscribe;
}

const logs = new WeakMap<Host, HostLog>();

function reaches(level: LogLevel, wanted: LogLevel): boolean {
  return LEVELS.indexOf(level) <= LEVELS.indexOf(wanted);
}

function logOf(host: Host): HostLog {
  const known = logs.get(host);
  if (known) return known;
  const made = { entries: new Set<Entry>(), own: () => undefined };
  logs.set(host, made);
  return made;
}

/** Has the host log as much as the most curious listener wants. */
function apply(host: Host, { entries }: HostLog): void {
  if (!host.setLogSink) {
    const message = 'this host does not carry the log';
    throw new SynclineError({ code: 'unavailable', message, retry: 'never' });
  }
  const level = [...entries].reduce<LogLevel>(
    (most, entry) => (reaches(entry.level, most) ? most : entry.level),
    'off',
  );
  const deliver = (lines: string) => {
    for (const line of JSON.parse(lines) as LogLine[]) {
      for (const entry of [...entries]) {
        if (!reaches(line.level, entry.level)) continue;
        guarded(() => {
          entry.logger(line);
        }, complain);
      }
    }
  };
  const reply = JSON.parse(host.setLogSink(level, entries.size > 0 ? deliver : null)) as object;
  if ('error' in reply) throw new SynclineError(reply.error as SynclineError['body']);
}

/**
 * Listens to the log of the core from this level on, until the returned function is called. There is one log per
 * process, and it may have several listeners. No line holds a token, a document or the name of a room.
 */
export function addHostLogger(host: Host, level: LogLevel, logger: Logger): Unsubscribe {
  if (!LEVELS.includes(level)) throw invalid(`${level} is not a level of the log`);
  const log = logOf(host);
  const entry = { level, logger };
  log.entries.add(entry);
  try {
    apply(host, log);
  } catch (error) {
    log.entries.delete(entry);
    throw error;
  }
  return once(() => {
    log.entries.delete(entry);
    apply(host, log);
  });
}

/** Sets who gets the log of the core, in place of who got it by this before; null ends it. */
export function setHostLogger(host: Host, level: LogLevel, logger: Logger | null): void {
  const log = logOf(host);
  const { own } = log;
  log.own = logger ? addHostLogger(host, level, logger) : () => undefined;
  own();
}
