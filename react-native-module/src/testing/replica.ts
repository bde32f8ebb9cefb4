// The rooms that are followed, and the documents that the server confirmed.
import type { RoomPhase, RoomStatus, Row } from '../contract.ts';
import type { Context, Pending, StoredRoom } from './context.ts';
import { Failure } from './errors.ts';
import { applyMutation, type StoredDocument } from './merge.ts';
import { RoomLog } from './room-log.ts';
import { copy } from './values.ts';

interface Followed {
  subscribers: number;
  phase: RoomPhase;
  error: Failure | null;
  /** When a room that was refused for now is asked for again. */
  retryAtMs: number;
  /** Whether the server was asked, and has not answered. */
  isAsking: boolean;
}

export class Replica {
  readonly #context: Context;
  readonly #rooms = new Map<string, Followed>();
  readonly #changed = new Set<string>();
  /** Documents received, for the progress. */
  downloaded = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  get #pending(): readonly Pending[] {
    return this.#context.disk.pending;
  }

  #stored(room: string): StoredRoom {
    const { rooms } = this.#context.disk;
    const stored = rooms.get(room) ?? {
      cursor: 0,
      isComplete: false,
      documents: new Map<string, StoredDocument>(),
    };
    rooms.set(room, stored);
    return stored;
  }

  isComplete(room: string): boolean {
    return this.#context.disk.rooms.get(room)?.isComplete ?? false;
  }

  isFollowed(room: string): boolean {
    return this.#rooms.has(room);
  }

  get followed(): string[] {
    return [...this.#rooms.keys()];
  }

  subscribe(room: string): void {
    this.follow(room).subscribers += 1;
  }

  /** Keeps a room in sync while it has subscribers or pending writes. */
  follow(room: string): Followed {
    const followed: Followed = this.#rooms.get(room) ?? {
      subscribers: 0,
      phase: 'waiting',
      error: null,
      retryAtMs: 0,
      isAsking: false,
    };
    this.#rooms.set(room, followed);
    return followed;
  }

  unsubscribe(room: string): void {
    const followed = this.#rooms.get(room);
    if (!followed || followed.subscribers === 0)
      throw new Failure('not_found', `room ${room} is not subscribed`);
    followed.subscribers -= 1;
    this.forgetIfUnused(room);
  }

  forgetIfUnused(room: string): void {
    const followed = this.#rooms.get(room);
    if (!followed || followed.subscribers > 0 || this.#pending.some((write) => write.room === room)) return;
    this.#rooms.delete(room);
    const { connection, backend } = this.#context;
    if (connection) backend.unsubscribe(connection, room);
  }

  status(room: string): RoomStatus {
    const { phase = 'waiting', error = null } = this.#rooms.get(room) ?? {};
    return { room, state: phase, complete: this.isComplete(room), error: error?.body ?? null };
  }

  isDenied(room: string): boolean {
    return this.#rooms.get(room)?.phase === 'denied';
  }

  get counts(): { live: number; toLoad: number } {
    const phases = [...this.#rooms.values()].map(({ phase }) => phase);
    const live = phases.filter((phase) => phase === 'live').length;
    return { live, toLoad: phases.filter((phase) => phase !== 'denied').length - live };
  }

  get nextMs(): number {
    const waits = [...this.#rooms.values()].filter(({ phase, isAsking }) => phase === 'waiting' && !isAsking);
    return this.#context.connection
      ? Math.min(Infinity, ...waits.map(({ retryAtMs }) => retryAtMs))
      : Infinity;
  }

  /** Nothing is known to be up to date any more. */
  handleLost(): void {
    for (const [room, followed] of this.#rooms) {
      Object.assign(followed, { phase: 'waiting', error: null, retryAtMs: 0, isAsking: false });
      this.#changed.add(room);
    }
  }

  /** Asks for the rooms that are due, in an open session. */
  work(): void {
    for (const [room, followed] of this.#rooms) {
      if (followed.phase !== 'waiting' || followed.isAsking || followed.retryAtMs > this.#context.nowMs)
        continue;
      this.#move(room, 'loading', null);
      this.ask(room);
    }
  }

  /** Asks what is new in a room. */
  ask(room: string): void {
    const { backend, settings } = this.#context;
    const followed = this.#rooms.get(room);
    if (!followed || !this.#context.connection) return;
    followed.isAsking = true;
    this.#context.trace('pull', room);
    const cursor = this.#stored(room).cursor;
    this.#context.ask(
      (connection) => backend.subscribe(connection, room, cursor),
      (answer) => {
        if (this.#rooms.get(room) !== followed) return;
        followed.isAsking = false;
        if (answer instanceof Failure) {
          followed.retryAtMs = this.#context.nowMs + (answer.retryAfterMs ?? settings.retryDelayMs);
          this.#context.trace('refused', answer.code);
          this.#move(room, answer.retry === 'never' ? 'denied' : 'waiting', answer);
          return;
        }
        this.#context.trace('pulled', `${answer.documents.length} changes`);
        this.handleChanges(room, answer.documents);
        const stored = this.#stored(room);
        stored.cursor = answer.head;
        stored.isComplete = true;
        this.#move(room, 'live', null);
      },
    );
  }

  deny(room: string, error: Failure): void {
    this.#move(room, 'denied', error);
  }

  #move(room: string, phase: RoomPhase, error: Failure | null): void {
    const followed = this.#rooms.get(room);
    if (!followed) return;
    followed.phase = phase;
    followed.error = error;
    this.#changed.add(room);
  }

  handleChanges(room: string, documents: readonly StoredDocument[]): void {
    const stored = this.#stored(room);
    for (const document of documents) {
      this.apply(room, document);
      stored.cursor = Math.max(stored.cursor, document.seq);
      this.downloaded += 1;
    }
  }

  /** Takes a document over from the server, unless it is older than what is there; confirms what it holds. */
  apply(room: string, document: StoredDocument): void {
    const { disk } = this.#context;
    const { documents } = this.#stored(room);
    const { collection, id, version } = document;
    const key = RoomLog.key(collection, id);
    if ((documents.get(key)?.seq ?? 0) < document.seq) {
      // The cache keeps no trace of deletions.
      if (document.deleted) documents.delete(key);
      else documents.set(key, copy(document));
    }
    const through = version[disk.clientId] ?? 0;
    disk.pending = disk.pending.filter((write) => !isOf(write, room, collection, id) || write.seq > through);
    this.#context.touch(room, collection, id);
    this.forgetIfUnused(room);
  }

  confirmed(room: string, collection: string, id: string): StoredDocument | null {
    return this.#context.disk.rooms.get(room)?.documents.get(RoomLog.key(collection, id)) ?? null;
  }

  /** The document as the app sees it, with its pending writes; null where there is none. */
  visible(room: string, collection: string, id: string): StoredDocument | null {
    const { disk, nowMs } = this.#context;
    let document = this.confirmed(room, collection, id);
    const held = document?.version[disk.clientId] ?? 0;
    for (const write of this.#pending) {
      if (!isOf(write, room, collection, id) || write.seq <= held) continue;
      document = applyMutation(document, { ...write, clientSeq: write.seq }, disk.clientId, nowMs);
    }
    return document && !document.deleted ? document : null;
  }

  row(room: string, collection: string, id: string): Row | null {
    const document = this.visible(room, collection, id);
    if (!document) return null;
    const pending = this.#pending.some((write) => isOf(write, room, collection, id));
    return { id, fields: copy(document.fields), seq: document.seq, pending };
  }

  /** All rows of a collection, or the one of an id. */
  rows(room: string, collection: string, id?: string): Row[] {
    const ids = new Set<string>();
    if (id !== undefined) ids.add(id);
    else {
      const confirmed = this.#context.disk.rooms.get(room)?.documents.values() ?? [];
      for (const document of confirmed) if (document.collection === collection) ids.add(document.id);
      for (const write of this.#pending) {
        if (write.room === room && write.collection === collection) ids.add(write.id);
      }
    }
    return [...ids].map((one) => this.row(room, collection, one)).filter((row) => row !== null);
  }

  /** Whether the server has nothing more for these rooms; a failure if it refuses one; null while it is asked. */
  caughtUp(rooms: readonly string[]): true | Failure | null {
    let result: true | Failure = true;
    for (const followed of rooms.map((room) => this.#rooms.get(room))) {
      if (!followed) continue;
      if (followed.isAsking || followed.phase === 'loading') return null;
      if (followed.phase === 'live') continue;
      if (!followed.error) return null;
      result = followed.error;
    }
    return result;
  }

  takeChanged(): RoomStatus[] {
    const changed = [...this.#changed].filter((room) => this.#rooms.has(room)).sort();
    this.#changed.clear();
    return changed.map((room) => this.status(room));
  }
}

export function isOf(write: Pending, room: string, collection: string, id: string): boolean {
  return write.id === id && write.collection === collection && write.room === room;
}
