// Writes that wait for the server, and what becomes of those that it refuses.
import type {
  ClientConfig,
  Conflict,
  ConflictStrategy,
  Op,
  ParkedWrite,
  RejectedWrite,
  Resolution,
  Write,
  WriteRequest,
} from '../contract.ts';
import { decide, type Decision } from './conflict.ts';
import type { Context, Pending } from './context.ts';
import { Failure } from './errors.ts';
import {
  checkFits,
  checkPatch,
  conflictKind,
  fieldsInConflict,
  type HybridTime,
  newestStamp,
  type StoredDocument,
  type Version,
} from './merge.ts';
import { isOf, type Replica } from './replica.ts';
import type { PushResult } from './room-log.ts';
import { byteLength, copy, equal, type Fields, pathText } from './values.ts';

/** A write that waits for the app's decision, and what it met. */
export interface Parked {
  readonly write: Pending;
  readonly conflict: Conflict;
  readonly document: StoredDocument | null;
}

export class Outbox {
  readonly #context: Context;
  readonly #replica: Replica;
  readonly #strategies: Pick<ClientConfig, 'conflict' | 'collections'>;
  /** Rooms with a push under way. */
  readonly #pushing = new Set<string>();
  /** When a room whose push was refused for now is tried again. */
  readonly #retryAtMs = new Map<string, number>();
  uploaded = 0;
  readonly counters = { accepted: 0, confirmed: 0, rejected: 0, conflicts: 0 };

  constructor(
    context: Context,
    replica: Replica,
    strategies: Pick<ClientConfig, 'conflict' | 'collections'>,
  ) {
    this.#context = context;
    this.#replica = replica;
    this.#strategies = strategies;
  }

  get #disk() {
    return this.#context.disk;
  }

  get count(): number {
    return this.#disk.pending.length;
  }

  get bytes(): number {
    return this.#disk.pending.reduce((sum, { write }) => sum + byteLength(write), 0);
  }

  get isPushing(): boolean {
    return this.#pushing.size > 0;
  }

  get lastSeq(): number {
    return this.#disk.lastSeq;
  }

  #strategy(collection: string): ConflictStrategy {
    return this.#strategies.collections?.[collection]?.conflict ?? this.#strategies.conflict ?? 'merge';
  }

  #tick(): HybridTime {
    const { nowMs } = this.#context;
    const [wallMs, counter] = this.#disk.lastTime;
    this.#disk.lastTime = nowMs > wallMs ? [nowMs, 0] : [wallMs, counter + 1];
    return this.#disk.lastTime;
  }

  #observe(document: StoredDocument | null): void {
    if (!document) return;
    const [wallMs, counter] = newestStamp(document);
    const [lastMs, last] = this.#disk.lastTime;
    if (wallMs > lastMs || (wallMs === lastMs && counter > last)) this.#disk.lastTime = [wallMs, counter];
  }

  #nextSeq(): number {
    this.#disk.lastSeq += 1;
    return this.#disk.lastSeq;
  }

  /** Accepts all writes or none; answers with their numbers. */
  write(writes: readonly WriteRequest[]): number[] {
    const { settings } = this.#context;
    if (writes.length === 0) throw new Failure('invalid', 'no writes are given');
    checkSize('what is written together', byteLength(writes), settings.writeBytesMax);
    const before = { pending: [...this.#disk.pending], lastSeq: this.#disk.lastSeq };
    try {
      const seqs = writes.map((write) => this.#accept(write));
      this.checkRoom(0);
      this.counters.accepted += seqs.length;
      for (const { room, collection, id } of writes) {
        this.#replica.follow(room);
        this.#context.touch(room, collection, id);
      }
      return seqs;
    } catch (error) {
      Object.assign(this.#disk, before);
      throw error;
    }
  }

  /** Whether the queue can take more. */
  checkRoom(more: number): void {
    const { pending, parked, outcomes, jobs, ended } = this.#disk;
    const { queueCountMax, queueBytesMax } = this.#context.settings;
    const count = pending.length + parked.size + outcomes.size + jobs.size + ended.size + more;
    const bytes = this.bytes + [...jobs.values()].reduce((sum, { work }) => sum + byteLength(work), 0);
    if (count > queueCountMax || bytes > queueBytesMax) {
      throw new Failure(
        'queue_full',
        `the outbox takes ${queueCountMax} writes and jobs of ${queueBytesMax} bytes`,
      );
    }
  }

  #accept({ room, collection, id, write }: WriteRequest): number {
    const visible = this.#replica.visible(room, collection, id);
    this.#check(room, write, visible);
    this.#observe(visible);
    const base = this.#baseOf(room, collection, id);
    const [seq, time] = [this.#nextSeq(), this.#tick()];
    const { nowMs: queuedAtMs } = this.#context;
    const accepted = { acceptedSeq: seq, acceptedTime: time };
    this.#disk.pending.push({
      seq,
      ...accepted,
      room,
      collection,
      id,
      write: copy(write),
      time,
      base,
      queuedAtMs,
    });
    return seq;
  }

  #check(room: string, write: Write, visible: StoredDocument | null): void {
    checkSize('the document', byteLength(write), this.#context.settings.documentBytesMax);
    if (write !== 'delete' && 'create' in write) return;
    if (!visible && this.#replica.isComplete(room))
      throw new Failure('not_found', 'the document does not exist');
    if (write === 'delete') return;
    // It may exist: the room is not loaded yet.
    if (visible) checkFits(visible.fields, write.update);
    else checkPatch(write.update);
  }

  /** The version that a write is made upon; null where the server merges. */
  #baseOf(room: string, collection: string, id: string): Version | null {
    if (this.#strategy(collection) === 'merge') return null;
    const version = this.#replica.confirmed(room, collection, id)?.version ?? {};
    const held = version[this.#disk.clientId] ?? 0;
    const like = this.#disk.pending.find(
      (write) => isOf(write, room, collection, id) && write.seq > held && write.base,
    );
    return like ? like.base : version;
  }

  get nextMs(): number {
    return this.#context.connection ? Math.min(Infinity, ...this.#retryAtMs.values()) : Infinity;
  }

  handleLost(): void {
    this.#pushing.clear();
    this.#retryAtMs.clear();
  }

  /** Pushes what waits, one batch a room at a time. */
  work(): void {
    for (const [room, atMs] of this.#retryAtMs) if (atMs <= this.#context.nowMs) this.#retryAtMs.delete(room);
    for (const room of new Set(this.#disk.pending.map((write) => write.room))) {
      if (this.#pushing.has(room) || this.#retryAtMs.has(room) || this.#replica.isDenied(room)) continue;
      this.#push(room);
    }
  }

  #push(room: string): void {
    const { backend, settings } = this.#context;
    const writes = this.#disk.pending.filter((write) => write.room === room).slice(0, settings.pushCountMax);
    this.#pushing.add(room);
    this.#context.trace('push', `${writes.length} writes`);
    const mutations = writes.map(({ seq, collection, id, write, time, base }) => {
      return { clientSeq: seq, collection, id, write, time, base };
    });
    this.#context.ask(
      (connection) => backend.push(connection, room, mutations),
      (answer) => {
        this.#pushing.delete(room);
        if (!(answer instanceof Failure)) {
          this.#context.trace('pushed', `${answer.length} writes`);
          for (const result of answer) this.#settle(room, result);
          this.#replica.forgetIfUnused(room);
        } else if (answer.retry === 'never') {
          this.#replica.deny(room, answer);
        } else {
          this.#retryAtMs.set(room, this.#context.nowMs + (answer.retryAfterMs ?? settings.retryDelayMs));
        }
      },
    );
  }

  #find(seq: number): Pending | null {
    return this.#disk.pending.find((write) => write.seq === seq) ?? null;
  }

  #remove({ seq, room, collection, id }: Pending): void {
    this.#disk.pending = this.#disk.pending.filter((write) => write.seq !== seq);
    this.#context.touch(room, collection, id);
  }

  #settle(room: string, { clientSeq, outcome, error, document }: PushResult): void {
    const write = this.#find(clientSeq);
    if (outcome === 'applied') {
      this.counters.confirmed += 1;
      this.uploaded += 1;
      if (document) this.#replica.apply(room, document);
      else if (write) this.#remove(write);
    } else if (write) {
      const failure = new Failure(
        error?.code ?? 'internal',
        error?.message ?? 'the server refused the write',
      );
      if (outcome === 'conflict') this.#handleConflict(write, failure, document);
      else this.#reject(write, failure, null);
    }
  }

  #reject(write: Pending, error: Failure, conflict: Conflict | null): void {
    this.#remove(write);
    this.counters.rejected += 1;
    this.#context.trace('rejected', error.code);
    const { acceptedSeq: clientSeq, room, collection, id } = write;
    const rejected = { clientSeq, error: error.body, room, collection, id, write: write.write };
    const outcome: RejectedWrite = conflict ? { ...rejected, conflict } : rejected;
    this.#disk.outcomes.set(clientSeq, outcome);
    this.#context.notice({ type: 'outcome', outcome });
  }

  #handleConflict(write: Pending, error: Failure, document: StoredDocument | null): void {
    const { clientId } = this.#disk;
    this.counters.conflicts += 1;
    this.#context.trace('conflict', this.#strategy(write.collection));
    const mutation = { ...write, clientSeq: write.seq };
    const fields = document ? (fieldsInConflict(document, mutation, clientId) ?? []) : [];
    const conflict = { kind: conflictKind(write.write, document), fields };
    const decision = decide({
      strategy: this.#strategy(write.collection),
      write: write.write,
      base: write.base ?? {},
      written: [...write.acceptedTime, clientId],
      document,
    });
    this.#observe(document);
    if (document) this.#replica.apply(write.room, document);
    if (decision === 'settle') this.#remove(write);
    else if (decision === 'drop') this.#reject(write, error, conflict);
    else if (decision === 'park') this.#park(write, conflict, document);
    else this.#sendAgain(write, decision, document);
  }

  /** The refused write, and those behind it that share its base, take new numbers: none overtakes. */
  #sendAgain(refused: Pending, decision: Decision, document: StoredDocument | null): void {
    const { room, collection, id } = refused;
    const isLike = (write: Pending) =>
      isOf(write, room, collection, id) &&
      write.seq >= refused.seq &&
      JSON.stringify(write.base) === JSON.stringify(refused.base);
    const again = this.#disk.pending.filter(isLike);
    this.#disk.pending = this.#disk.pending.filter((write) => !isLike(write));
    for (const write of again) {
      const time = decision === 'override' ? this.#tick() : write.time;
      const base = decision === 'merge' ? null : (document?.version ?? {});
      this.#disk.pending.push({ ...write, seq: this.#nextSeq(), time, base });
    }
    this.#context.touch(room, collection, id);
  }

  #park(write: Pending, conflict: Conflict, document: StoredDocument | null): void {
    this.#remove(write);
    const parked = { write, conflict, document };
    this.#disk.parked.set(write.acceptedSeq, parked);
    this.#context.notice({ type: 'conflict', conflict: parkedWrite(parked) });
  }

  get conflicts(): ParkedWrite[] {
    return [...this.#disk.parked.values()].map(parkedWrite);
  }

  get outcomes(): RejectedWrite[] {
    return [...this.#disk.outcomes.values()];
  }

  acknowledge(clientSeq: number): void {
    if (!this.#disk.outcomes.delete(clientSeq))
      throw new Failure('not_found', `no outcome of write ${clientSeq}`);
  }

  /** The app decides about a parked write. */
  resolve(clientSeq: number, resolution: Resolution): void {
    const parked = this.#disk.parked.get(clientSeq);
    if (!parked) throw new Failure('not_found', `write ${clientSeq} waits for no decision`);
    const { write: old, document } = parked;
    const { room, collection, id } = old;
    const held = document && !document.deleted ? document : null;
    const write = resolvedWrite(resolution, old.write, held);
    if (write) this.#check(room, write, held);
    this.#disk.parked.delete(clientSeq);
    if (!write) return;
    this.#observe(this.#replica.visible(room, collection, id));
    const base = this.#strategy(collection) === 'merge' ? null : (document?.version ?? {});
    this.#disk.pending.push({ ...old, seq: this.#nextSeq(), write, time: this.#tick(), base });
    this.#replica.follow(room);
    this.#context.touch(room, collection, id);
  }

  /** Whether the server has answered every write up to this number; a failure if it will not for now. */
  answered(through: number): true | Failure | null {
    const waiting = this.#disk.pending.filter(({ acceptedSeq }) => acceptedSeq <= through);
    if (waiting.some(({ room }) => !this.#replica.isDenied(room))) return null;
    const [denied] = waiting;
    return denied ? new Failure('forbidden', `room ${denied.room} may not be written to`) : true;
  }
}

function checkSize(what: string, bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) {
    throw new Failure('too_large', `${what} has ${bytes} bytes, at most ${bytesMax} are allowed`);
  }
}

function parkedWrite({ write, conflict, document }: Parked): ParkedWrite {
  const { acceptedSeq: clientSeq, room, collection, id, write: local } = write;
  const server = document && !document.deleted ? document.fields : null;
  return { clientSeq, room, collection, id, local, server: copy(server), ...conflict };
}

/** Null where nothing is to be written. */
function resolvedWrite(resolution: Resolution, local: Write, document: StoredDocument | null): Write | null {
  if (resolution === 'server') return null;
  if (resolution === 'local') return local;
  const { merged } = resolution;
  if (!document) return { create: merged };
  return patchTo(document.fields, merged);
}

function patchTo(from: Fields, to: Fields): Write | null {
  const changed = Object.entries(to).filter(([name, value]) => !equalOrAbsent(from[name], value));
  const sets = changed.map(([name, set]) => [pathText([name]), { set }] as const);
  const unsets = Object.keys(from)
    .filter((name) => !Object.hasOwn(to, name))
    .map((name) => [pathText([name]), 'unset'] as const);
  const ops = [...sets, ...unsets];
  return ops.length === 0 ? null : { update: Object.fromEntries<Op>(ops) };
}

function equalOrAbsent(left: Fields[string] | undefined, right: Fields[string]): boolean {
  return left !== undefined && equal(left, right);
}
