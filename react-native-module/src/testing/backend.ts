// The server's part, in memory: several fake clients of one backend see each other.
import type { DisconnectCause, PresenceStatus } from '../contract.ts';
import type { Clock } from './clock.ts';
import { Failure } from './errors.ts';
import type { Mutation, StoredDocument } from './merge.ts';
import { type Censor, type PushResult, RoomLog } from './room-log.ts';
import { type Line, type Member, Roster } from './roster.ts';
import type { Shown } from './shown.ts';

/** How long a broken connection is waited for before its client is seen to leave. */
const GRACE_MS = 15_000;

export interface User {
  readonly userId: string;
  /** The rooms that they may enter beside their own, `user:<userId>`. */
  readonly rooms: 'all' | readonly string[];
}

export type ServerMessage =
  | { readonly type: 'changes'; readonly room: string; readonly documents: StoredDocument[] }
  | { readonly type: 'members'; readonly room: string; readonly members: readonly Member[] }
  | { readonly type: 'user'; readonly userId: string; readonly isOnline: boolean }
  | {
      readonly type: 'event';
      readonly namespace: string;
      readonly event: string;
      readonly args: readonly unknown[];
      readonly answer: ((args: readonly unknown[]) => void) | null;
    }
  | { readonly type: 'ended'; readonly error: Failure; readonly cause: DisconnectCause };

/** The client's end of a connection. */
export interface Peer {
  readonly clientId: string;
  /** Takes what the server says; what comes first is delivered first. */
  deliver(message: ServerMessage): void;
}

/** An event of a client, as it reaches the server. */
export interface Emitted {
  readonly connection: Connection;
  readonly namespace: string;
  readonly event: string;
  readonly args: readonly unknown[];
  /** Null when the client waits for no answer. */
  readonly answer: ((args: readonly unknown[]) => void) | null;
}

export interface HttpRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** Null for another origin. */
  readonly token: string | null;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** What a test says of a server. */
export interface Script {
  authenticate(token: string | null): User | Failure;
  readonly censor: Censor;
  onEmit(emitted: Emitted): void;
  onNamespace(namespace: string, user: User): Failure | null;
  onRequest(request: HttpRequest): Promise<HttpResponse>;
}

/** The server's end of a connection. */
export interface Connection {
  readonly user: User;
  readonly peer: Peer;
  readonly line: Line;
  readonly namespaces: Set<string>;
  /** Rooms of the app's own, by namespace and name. */
  readonly joined: Set<string>;
  /** How long the client shall be seen as away when it goes in the background. */
  backgroundMs: number | null;
}

export class Backend {
  readonly clock: Clock;
  readonly #script: Script;
  readonly #rooms = new Map<string, RoomLog>();
  readonly #connections = new Set<Connection>();
  readonly #ghosts = new Map<Line, () => void>();
  readonly #roster = new Roster({
    onMembers: (room) => {
      const members = this.#roster.members(room);
      for (const { line, peer } of this.#connections) {
        if (line.rooms.has(room)) peer.deliver({ type: 'members', room, members });
      }
    },
    onUser: (line, userId, isOnline) => {
      const connection = [...this.#connections].find((one) => one.line === line);
      connection?.peer.deliver({ type: 'user', userId, isOnline });
    },
  });
  isUp = true;

  constructor(clock: Clock, script: Script) {
    this.clock = clock;
    this.#script = script;
  }

  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  get roster(): Roster {
    return this.#roster;
  }

  room(name: string): RoomLog {
    const room = this.#rooms.get(name) ?? new RoomLog();
    this.#rooms.set(name, room);
    return room;
  }

  connect(peer: Peer, token: string | null, namespace: string): Connection {
    if (!this.isUp) throw new Failure('unreachable', 'the server is not there');
    const user = this.#script.authenticate(token);
    if (user instanceof Failure) throw user;
    const refused = this.#script.onNamespace(namespace, user);
    if (refused) throw refused;
    const line = this.#roster.add(user.userId, peer.clientId);
    const connection: Connection = {
      user,
      peer,
      line,
      namespaces: new Set([namespace]),
      joined: new Set(),
      backgroundMs: null,
    };
    this.#connections.add(connection);
    return connection;
  }

  /** The client is gone: for good after a goodbye, otherwise it may come back. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    if (!this.#connections.delete(connection)) return;
    const { line, peer, backgroundMs } = connection;
    const ghosts = [...this.#ghosts.keys()].filter((ghost) => ghost.clientId === peer.clientId);
    if (isGoodbye) {
      for (const ghost of [...ghosts, line]) this.#end(ghost);
      return;
    }
    this.#roster.lose(line);
    const untilMs = this.clock.nowMs + (backgroundMs ?? GRACE_MS);
    this.#ghosts.set(
      line,
      this.clock.at(untilMs, () => {
        this.#end(line);
      }),
    );
  }

  #end(line: Line): void {
    this.#ghosts.get(line)?.();
    this.#ghosts.delete(line);
    this.#roster.end(line);
  }

  /** Ends connections from the server's side. */
  end(connections: readonly Connection[], error: Failure, cause: DisconnectCause): void {
    for (const connection of connections) {
      this.disconnect(connection, false);
      connection.peer.deliver({ type: 'ended', error, cause });
    }
  }

  isConnected(connection: Connection): boolean {
    return this.#connections.has(connection);
  }

  #check({ user }: Connection, room: string): void {
    const may = user.rooms === 'all' || user.rooms.includes(room) || room === `user:${user.userId}`;
    if (!may) throw new Failure('forbidden', `the token does not allow the room ${room}`);
  }

  /** From here on the connection hears of the room; answers with what it lacks. */
  subscribe(
    connection: Connection,
    room: string,
    cursor: number,
  ): { documents: StoredDocument[]; head: number } {
    this.#check(connection, room);
    this.#roster.enter(connection.line, room);
    const log = this.room(room);
    return { documents: log.after(cursor), head: log.head };
  }

  unsubscribe({ line }: Connection, room: string): void {
    this.#roster.exit(line, room);
  }

  push(connection: Connection, room: string, mutations: readonly Mutation[]): PushResult[] {
    this.#check(connection, room);
    const { user, peer } = connection;
    const log = this.room(room);
    const before = log.head;
    const results = mutations.map((mutation) => {
      const refusal = this.#script.censor(mutation, user.userId);
      return log.push(mutation, peer.clientId, refusal, this.clock.nowMs);
    });
    this.publish(room, before);
    return results;
  }

  /** Tells everybody in the room what stands behind a place of its log. */
  publish(room: string, seq: number): void {
    const documents = this.room(room).after(seq);
    if (documents.length === 0) return;
    for (const { line, peer } of this.#connections) {
      if (line.rooms.has(room)) peer.deliver({ type: 'changes', room, documents });
    }
  }

  join(
    connection: Connection,
    room: string,
    shown: Shown,
    status: PresenceStatus,
    backgroundMs: number | null,
  ): void {
    this.#check(connection, room);
    connection.backgroundMs = backgroundMs;
    for (const ghost of this.#ghosts.keys()) {
      // What it was is taken over.
      if (ghost.clientId === connection.peer.clientId) ghost.rooms.delete(room);
    }
    this.#roster.join(connection.line, room, shown, status, this.clock.nowMs);
  }

  leave({ line }: Connection, room: string): void {
    this.#roster.leave(line, room);
  }

  emit(emitted: Emitted): void {
    this.#script.onEmit(emitted);
  }

  connectNamespace(connection: Connection, namespace: string): void {
    const refused = this.#script.onNamespace(namespace, connection.user);
    if (refused) throw refused;
    connection.namespaces.add(namespace);
  }

  disconnectNamespace(connection: Connection, namespace: string): void {
    connection.namespaces.delete(namespace);
  }

  request(request: HttpRequest): Promise<HttpResponse> {
    if (!this.isUp) return Promise.reject(new Failure('unreachable', 'the server is not there'));
    return this.#script.onRequest(request);
  }
}
