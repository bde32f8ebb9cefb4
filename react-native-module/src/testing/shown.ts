import { copy, type Fields, setMember } from './values.ts';

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
