import type { SyncClient } from './client.ts';
import type { JsonValue, WriteRequest } from './contract.ts';
import { asSynclineError } from './error.ts';
import { type Changes, type Fields, increment, set, toOps } from './ops.ts';
import type { DocumentRef } from './refs.ts';
import { escapeSegment } from './paths.ts';

/** A change of a user's data: numbers are added, everything else and all in `__set` is set. */
export type StatsDelta = Readonly<Record<string, JsonValue>> & {
  readonly __set?: Readonly<Record<string, JsonValue>>;
};

/** Where the data of a user are: one document in the room of that user. */
export function userDataRef(userId: string, collection: string): DocumentRef {
  return { room: `user:${userId}`, collection, id: userId };
}

/** Adds a delta to the data of a user, which begin with it if there are none. */
export async function addStats(client: SyncClient, ref: DocumentRef, delta: StatsDelta): Promise<void> {
  const update: WriteRequest = { ...ref, write: { update: toOps(toChanges(delta)) } };
  // Where none are known here, the server may have some all the same: a creation without fields changes none of them.
  const create: WriteRequest = { ...ref, write: { create: {} } };
  await client.write((await client.document(ref)) ? [update] : [create, update]);
}

function toChanges({ __set = {}, ...added }: StatsDelta): Changes<Fields> {
  const change = ([name, value]: [string, JsonValue]) => [
    escapeSegment(name),
    typeof value === 'number' ? increment(value) : set(value),
  ];
  const absolute = ([name, value]: [string, JsonValue]) => [escapeSegment(name), set(value)];
  return Object.fromEntries([
    ...Object.entries(added).map(change),
    ...Object.entries(__set).map(absolute),
  ]) as Changes<Fields>;
}

/** What went wrong, as text. */
export function messageOf(error: unknown): string {
  return asSynclineError(error).message;
}
