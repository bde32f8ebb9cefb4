// What a server does with the writes and the readers of one room: numbers, merges, refuses, and tells what is new.
import type { ErrorBody, Write } from '../contract.ts';
import { Failure } from './errors.ts';
import {
  applyMutation,
  checkPatch,
  fieldsInConflict,
  type HybridTime,
  type Mutation,
  newestStamp,
  type StoredDocument,
} from './merge.ts';
import { copy } from './values.ts';

export interface PushResult {
  readonly clientSeq: number;
  readonly outcome: 'applied' | 'rejected' | 'conflict';
  readonly error: ErrorBody | null;
  /** As the server holds it now. */
  readonly document: StoredDocument | null;
}

/** Who refuses a write, and why. */
export type Censor = (write: Mutation, userId: string) => Failure | null;

export class RoomLog {
  readonly #documents = new Map<string, StoredDocument>();
  readonly #answers = new Map<string, PushResult>();
  #seq = 0;

  static key(collection: string, id: string): string {
    return JSON.stringify([collection, id]);
  }

  get documents(): readonly StoredDocument[] {
    return [...this.#documents.values()].filter(({ deleted }) => !deleted);
  }

  find(collection: string, id: string): StoredDocument | null {
    return this.#documents.get(RoomLog.key(collection, id)) ?? null;
  }

  /** What stands behind a place of the log, deletions included, in order. */
  after(seq: number): StoredDocument[] {
    const later = [...this.#documents.values()].filter((document) => document.seq > seq);
    return copy(later.sort((left, right) => left.seq - right.seq));
  }

  get head(): number {
    return this.#seq;
  }

  /** A number that was used before gets its first answer. */
  push(mutation: Mutation, clientId: string, refusal: Failure | null, nowMs: number): PushResult {
    const number = JSON.stringify([clientId, mutation.clientSeq]);
    const known = this.#answers.get(number);
    if (known) return known;
    const result = this.#apply(mutation, clientId, refusal, nowMs);
    this.#answers.set(number, result);
    return result;
  }

  #apply(mutation: Mutation, clientId: string, refusal: Failure | null, nowMs: number): PushResult {
    const { clientSeq, collection, id, write } = mutation;
    const answer = (
      outcome: PushResult['outcome'],
      error: Failure | null,
      document: StoredDocument | null,
    ) => ({
      clientSeq,
      outcome,
      error: error?.body ?? null,
      document: copy(document),
    });
    if (refusal) return answer('rejected', refusal, null);
    const held = this.find(collection, id);
    const isOfPurged = !held && mutation.base !== null && Object.keys(mutation.base).length > 0;
    if (isOfPurged || (held && fieldsInConflict(held, mutation, clientId) !== null)) {
      const error = new Failure('conflict', "the document changed since the mutation's base");
      return answer('conflict', error, held);
    }
    if (!held && write === 'delete') return answer('applied', null, null);
    if (write !== 'delete' && 'update' in write) checkPatch(write.update);
    const document = applyMutation(held, mutation, clientId, nowMs);
    if (!document) return answer('rejected', new Failure('not_found', 'the document does not exist'), null);
    this.#seq += 1;
    document.seq = this.#seq;
    this.#documents.set(RoomLog.key(collection, id), document);
    return answer('applied', null, document);
  }

  /** A time that is newer than all that the document has seen. */
  timeFor(collection: string, id: string, nowMs: number): HybridTime {
    const held = this.find(collection, id);
    const [seenMs, counter] = held ? newestStamp(held) : [0, 0];
    return nowMs > seenMs ? [nowMs, 0] : [seenMs, counter + 1];
  }

  /** What somebody else writes, who has seen everything. */
  write(
    collection: string,
    id: string,
    write: Write,
    clientId: string,
    clientSeq: number,
    nowMs: number,
  ): PushResult {
    const time = this.timeFor(collection, id, nowMs);
    const mutation: Mutation = { clientSeq, collection, id, write: copy(write), time, base: null };
    return this.push(mutation, clientId, null, nowMs);
  }
}
