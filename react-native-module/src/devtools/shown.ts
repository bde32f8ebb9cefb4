// How the client's data look to the panel: bounded lists of bounded texts.
import type {
  DeadLetter,
  JobInfo,
  JobKind,
  JobWork,
  ParkedWrite,
  RejectedWrite,
  RoomStatus,
  Stats,
} from '../contract.ts';
import { invalid } from '../error.ts';
import { read, written } from '../inline-bytes.ts';
import { encodeWork } from '../job-values.ts';
import type { PresenceSnapshot } from '../presence.ts';
import type { CollectionSnapshot, CoreQuery } from '../watches.ts';
import {
  ITEMS_MAX,
  type LatencySample,
  type Listed,
  type Shown,
  type ShownConflict,
  type ShownDocument,
  type ShownDocuments,
  type ShownJob,
  type ShownLetter,
  type ShownPresence,
  type ShownRejection,
  type ShownRoom,
  VALUE_CHARS_MAX,
} from './protocol.ts';

export function listed<T, S>(all: readonly T[], show: (item: T) => S): Listed<S> {
  return { items: all.slice(0, ITEMS_MAX).map(show), total: all.length };
}

/** A value as JSON, which what a validator made of a document may not be. */
export function shown(value: object | string | null): Shown {
  return shownBy(() => value);
}

/** What a job does as JSON, bytes as `{ $bytes: base64 }`; `readWork` reads it. */
export function shownWork(work: JobWork): Shown {
  return shownBy(() => written(encodeWork(work)) as object);
}

/** Whatever is wrong with a value must not keep the others from being shown. */
function shownBy(read: () => object | string | null): Shown {
  let text: string;
  try {
    text = JSON.stringify(read(), null, 2);
  } catch (error) {
    return { text: String(error), isCut: true };
  }
  const isCut = text.length > VALUE_CHARS_MAX;
  return { text: isCut ? text.slice(0, VALUE_CHARS_MAX) : text, isCut };
}

/** The work that the panel wrote; whether it makes sense is the core's to say. */
export function readWork(text: string): JobWork {
  let work: unknown;
  try {
    work = read(JSON.parse(text));
  } catch (error) {
    throw invalid(`this cannot be read: ${String(error)}`);
  }
  const isWork = ['event', 'request', 'handler'].some((kind) => Object.hasOwn(Object(work) as object, kind));
  if (!isWork) throw invalid('a job is one of {"event": …}, {"request": …} and {"handler": …}');
  return work as JobWork;
}

function describeWork(work: JobWork): { readonly kind: JobKind; readonly title: string } {
  if ('event' in work) {
    const { namespace, name } = work.event;
    return { kind: 'event', title: namespace ? `${namespace} ${name}` : name };
  }
  if ('request' in work) {
    return { kind: 'request', title: `${work.request.method} ${work.request.url}` };
  }
  return { kind: 'handler', title: work.handler.key };
}

export function shownJob(info: JobInfo): ShownJob {
  const { job, work, lane, state, priority, after, attempts, attemptsMax, queuedAtMs, expiresAtMs, error } =
    info;
  return {
    ...describeWork(work),
    ...{ job, lane, state, priority, after, attempts, attemptsMax, queuedAtMs, expiresAtMs, error },
    work: shownWork(work),
  };
}

export function shownLetter(letter: DeadLetter): ShownLetter {
  const { job, work, lane, reason, error, attempts, holdsLane, diedAtMs } = letter;
  return {
    ...describeWork(work),
    ...{ job, lane, reason, error, attempts, holdsLane, diedAtMs },
    work: shownWork(work),
  };
}

export function shownRejection(rejected: RejectedWrite): ShownRejection {
  const { clientSeq, room, collection, id, error, write } = rejected;
  return { clientSeq, room, collection, id, error, write: shown(write) };
}

export function shownConflict(parked: ParkedWrite): ShownConflict {
  const { clientSeq, room, collection, id, kind, fields, local, server } = parked;
  return { clientSeq, room, collection, id, kind, fields, local: shown(local), server: shown(server) };
}

export function shownDocuments(
  query: CoreQuery,
  { data, count, status, error, pendingIds }: CollectionSnapshot<object>,
  conflicts: readonly ParkedWrite[],
): ShownDocuments {
  const parked = new Set(
    conflicts
      .filter(({ room, collection }) => room === query.room && collection === query.collection)
      .map(({ id }) => id),
  );
  const show = ({ id, ...fields }: { readonly id: string }): ShownDocument => ({
    id,
    state: parked.has(id) ? 'conflict' : pendingIds.has(id) ? 'pending' : 'confirmed',
    fields: shown(fields),
  });
  const rows = { ...listed(data, show), total: Math.max(count, data.length) };
  return { query, status, error: error?.message ?? null, rows };
}

export function shownRoom({ room, state, complete, error }: RoomStatus): ShownRoom {
  return { room, state, complete, error };
}

export function shownPresence(room: string, { users, members, error }: PresenceSnapshot): ShownPresence {
  return {
    room,
    users: users.slice(0, ITEMS_MAX),
    members: members.slice(0, ITEMS_MAX),
    error: error?.message ?? null,
  };
}

export function latencyOf(atMs: number, { rttMs, pushMs }: Stats): LatencySample {
  return {
    atMs,
    rtt: { p50: rttMs.p50, p95: rttMs.p95 },
    push: { p50: pushMs.p50, p95: pushMs.p95 },
  };
}
