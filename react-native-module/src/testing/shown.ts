import { Failure } from './errors.ts';
import { byteLength, copy, type Fields, setMember } from './values.ts';

const FIELDS_MAX = 64;
const BYTES_MAX = 4 << 10;

/** What somebody shows of themselves in a room: fields, some of which vanish by themselves. */
export interface Shown {
  readonly fields: Fields;
  /** When fields vanish. */
  readonly expiresAtMs: Readonly<Record<string, number>>;
}

export const NOTHING_SHOWN: Shown = { fields: {}, expiresAtMs: {} };

/** A null removes its field; what is set stands until it is removed, or for `expiresInMs`. */
export function change(shown: Shown, changes: Fields, nowMs: number, expiresInMs?: number | null): Shown {
  const fields = copy(shown.fields);
  const expiresAtMs = { ...shown.expiresAtMs };
  for (const [name, value] of Object.entries(changes)) {
    Reflect.deleteProperty(expiresAtMs, name);
    if (value === null || expiresInMs === 0) {
      Reflect.deleteProperty(fields, name);
    } else {
      setMember(fields, name, value);
      if (typeof expiresInMs === 'number') setMember(expiresAtMs, name, nowMs + expiresInMs);
    }
  }
  if (Object.keys(fields).length > FIELDS_MAX || byteLength(fields) > BYTES_MAX) {
    throw new Failure('too_large', `a state has at most ${FIELDS_MAX} fields and ${BYTES_MAX} bytes`);
  }
  return { fields, expiresAtMs };
}

/** The same object where nothing has expired. */
export function expire(shown: Shown, nowMs: number): Shown {
  const gone = Object.keys(shown.expiresAtMs).filter((name) => (shown.expiresAtMs[name] ?? 0) <= nowMs);
  if (gone.length === 0) return shown;
  const stays = ([name]: [string, unknown]) => !gone.includes(name);
  return {
    fields: Object.fromEntries(Object.entries(shown.fields).filter(stays)),
    expiresAtMs: Object.fromEntries(Object.entries(shown.expiresAtMs).filter(stays)),
  };
}

export function nextExpiryMs({ expiresAtMs }: Shown): number {
  return Math.min(Infinity, ...Object.values(expiresAtMs));
}
