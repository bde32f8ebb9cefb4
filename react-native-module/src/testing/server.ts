import type { Write } from '../contract.ts';
import { read, written } from '../inline-bytes.ts';
import { toFields } from '../json.ts';
import { toPortable } from '../portable.ts';
import { toOps } from '../ops.ts';
import {
  Backend,
  type Connection,
  type Emitted,
  type HttpRequest,
  type HttpResponse,
  type User,
} from './backend.ts';
import { Clock } from './clock.ts';
import { Failure } from './errors.ts';
import type { Line } from './roster.ts';
import { claims } from './tokens.ts';
import { copy, type Fields } from './values.ts';

/** How many requests and events a server remembers; older ones are forgotten. */
const REMEMBERED_MAX = 1_000;

/** What this server writes itself is of a client that no device is. */
const OWN_CLIENT = '00000000-0000-7000-8000-000000000000';

/** Some of a server's connections. */
export interface Audience {
  readonly userId?: string;
  /** A room that the client joined by `joinRoom`, or that `socket.join` put it in. */
  readonly room?: string;
  /** `/` when absent. */
  readonly namespace?: string;
}

/** An event that a client sent. */
export interface ServerCall {
  readonly event: string;
  readonly args: readonly unknown[];
  readonly namespace: string;
  readonly userId: string;
  /** Whether the client waits for an answer. */
  readonly isAcked: boolean;
  /** Says something to this client only. */
  emit(event: string, ...args: unknown[]): void;
  /** Asks this client; resolves to its answer. */
  ask(event: string, ...args: unknown[]): Promise<unknown[]>;
  join(room: string): void;
  leave(room: string): void;
}

/** An answer of several arguments. */
export class Answer {
  readonly args: readonly unknown[];

  constructor(...args: unknown[]) {
    this.args = args;
  }
}

/**
 * What the server does with an event. What it returns is the answer: a value, an `Answer` of several, or undefined for
 * none. What it throws is answered as `{error: {code, message}}`.
 */
export type EventHandler = (call: ServerCall) => unknown;

export type RequestHandler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

/** A write that a client pushes. */
export interface PushedWrite {
  readonly collection: string;
  readonly id: string;
  readonly write: Write;
  readonly userId: string;
}

/** A person who is present without a client of this test. */
export interface Person {
  update(state: object, options?: { readonly expiresInMs?: number }): void;
  leave(): void;
}

export interface FakeServerOptions {
  readonly url?: string;
  /** Whether tokens that the server did not make are good, for their `sub` if they are JSON Web Tokens. */
  readonly trusts?: 'own-tokens' | 'any-token';
}

/** A server in memory, for fake clients. Everything it knows is in this object; nothing happens by itself. */
export class FakeServer {
  readonly url: string;
  readonly clock = new Clock();
  /** How long each message takes, either way. */
  latencyMs = 0;
  /** Requests and events that came, the oldest first. */
  readonly requests: HttpRequest[] = [];
  readonly events: ServerCall[] = [];
  /** What fake clients talk to. */
  readonly backend: Backend;
  readonly #trusts: NonNullable<FakeServerOptions['trusts']>;
  readonly #tokens = new Map<string, User & { readonly expiresAtMs: number }>();
  readonly #handlers = new Map<string, EventHandler>();
  readonly #closedNamespaces = new Map<string, Failure>();
  #handleRequest: RequestHandler = () => ({ status: 404, body: { message: 'nothing is here' } });
  #refuse: ((write: PushedWrite) => Failure | null) | null = null;
  #refuseTokens: Failure | null = null;
  #ownSeq = 0;
  #ids = 0;
  #people = 0;

  constructor({ url = 'https://fake.test', trusts = 'own-tokens' }: FakeServerOptions = {}) {
    this.url = url;
    this.#trusts = trusts;
    for (const event of ['room:join', 'room:leave']) this.#handlers.set(event, moveBetweenRooms);
    this.backend = new Backend(this.clock, {
      authenticate: (token) => this.#authenticate(token),
      censor: ({ collection, id, write }, userId) =>
        this.#refuse?.({ collection, id, write, userId }) ?? null,
      onEmit: (emitted) => {
        this.#handle(emitted);
      },
      onNamespace: (namespace) => this.#closedNamespaces.get(namespace) ?? null,
      onRequest: async (request) => {
        remember(this.requests, request);
        return this.#handleRequest(request);
      },
    });
  }

  /** A fresh id, in the form of a UUIDv7; the same at each run. */
  newId(): string {
    this.#ids += 1;
    const time = this.clock.nowMs.toString(16).padStart(12, '0');
    return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${this.#ids.toString(16).padStart(12, '0')}`;
  }

  /** A token for a user; `rooms` are those that they may enter beside their own. Nobody connects with it after `ttlMs`. */
  token(userId: string, rooms: User['rooms'] = 'all', ttlMs = Infinity): string {
    const token = `token-${this.#tokens.size + 1}-of-${userId}`;
    this.#tokens.set(token, { userId, rooms, expiresAtMs: this.clock.nowMs + ttlMs });
    return token;
  }

  #authenticate(token: string | null): User | Failure {
    if (this.#refuseTokens) return this.#refuseTokens;
    const known = this.#tokens.get(token ?? '');
    if (known && known.expiresAtMs <= this.clock.nowMs) {
      return new Failure('unauthorized', 'the token has expired');
    }
    if (known) return known;
    if (token === null || this.#trusts === 'any-token') {
      return { userId: (token === null ? null : claims(token)?.sub) ?? 'somebody', rooms: 'all' };
    }
    return new Failure('unauthorized', 'the token is not known');
  }

  /** Refuses every token from now on, and ends the connections; null accepts them again. */
  refuseTokens(error: Failure | null = new Failure('unauthorized', 'the token has expired')): void {
    this.#refuseTokens = error;
    if (error) this.backend.end(this.backend.connections, error, 'unauthorized');
  }

  /** The server goes away: connections break, and there is nobody to connect to. */
  stop(): void {
    this.backend.isUp = false;
    this.dropConnections();
  }

  /** It is there again, with its data. */
  start(): void {
    this.backend.isUp = true;
  }

  /** Breaks the connections, of one user or of all. */
  dropConnections(userId?: string): void {
    const error = new Failure('unreachable', 'the connection was lost');
    this.backend.end(this.#audience(userId === undefined ? {} : { userId }), error, 'transport_closed');
  }

  /** Refuses a namespace beside `/`; null lets clients in again. */
  refuseNamespace(namespace: string, error: Failure | null): void {
    if (error) this.#closedNamespaces.set(namespace, error);
    else this.#closedNamespaces.delete(namespace);
  }

  /** Decides which writes of clients are refused; null for none. */
  refuseWrites(refuse: ((write: PushedWrite) => Failure | null) | null): void {
    this.#refuse = refuse;
  }

  /** Somebody else creates a document, or sets its fields. */
  insert(room: string, collection: string, id: string, fields: object): void {
    this.#write(room, collection, id, { create: toFields(fields, 'the document') });
  }

  /** Somebody else changes a document: dotted paths to values or operations such as `increment(1)`. */
  update(room: string, collection: string, id: string, changes: object): void {
    this.#write(room, collection, id, { update: toOps(changes) });
  }

  /** Somebody else deletes a document. */
  remove(room: string, collection: string, id: string): void {
    this.#write(room, collection, id, 'delete');
  }

  #write(room: string, collection: string, id: string, write: Write): void {
    const log = this.backend.room(room);
    const before = log.head;
    this.#ownSeq += 1;
    const { error } = log.write(collection, id, write, OWN_CLIENT, this.#ownSeq, this.clock.nowMs);
    if (error) throw new Failure(error.code, error.message);
    this.backend.publish(room, before);
  }

  /** What the server holds of a collection, by id. */
  documents(room: string, collection: string): Record<string, Fields> {
    const documents = this.backend
      .room(room)
      .documents.filter((document) => document.collection === collection);
    return Object.fromEntries(documents.map(({ id, fields }) => [id, copy(fields)]));
  }

  /** What the server does with an event of the app; without a handler nobody answers. */
  on(event: string, handler: EventHandler): void {
    this.#handlers.set(event, handler);
  }

  /** What the server answers to queued requests; without a handler 404. One that throws is as a lost connection. */
  onRequest(handler: RequestHandler): void {
    this.#handleRequest = handler;
  }

  #handle({ connection, namespace, event, args, answer }: Emitted): void {
    const call: ServerCall = {
      event,
      args: read(args) as unknown[],
      namespace,
      userId: connection.user.userId,
      isAcked: answer !== null,
      emit: (name, ...sent) => {
        send(connection, namespace, name, sent, null);
      },
      ask: (name, ...sent) => ask(connection, namespace, name, sent),
      join: (room) => connection.joined.add(roomKey(namespace, room)),
      leave: (room) => connection.joined.delete(roomKey(namespace, room)),
    };
    remember(this.events, call);
    const handler = this.#handlers.get(event);
    if (!handler) return;
    const reply = (value: unknown) => {
      if (value === undefined) return;
      answer?.(written(toPortable(value instanceof Answer ? value.args : [value])) as unknown[]);
    };
    const refuse = (error: unknown) => {
      reply({ error: refusal(error) });
    };
    try {
      const value = handler(call);
      if (value instanceof Promise) void value.then(reply, refuse);
      else reply(value);
    } catch (error) {
      refuse(error);
    }
  }

  #audience({ userId, room, namespace = '/' }: Audience): Connection[] {
    return this.backend.connections.filter(
      (connection) =>
        connection.namespaces.has(namespace) &&
        (userId === undefined || connection.user.userId === userId) &&
        (room === undefined || connection.joined.has(roomKey(namespace, room))),
    );
  }

  /** Says something to every client. */
  emit(event: string, ...args: unknown[]): void {
    this.to({}).emit(event, ...args);
  }

  /** Says something to some clients, or asks the first of them. */
  to(audience: Audience): Pick<ServerCall, 'emit' | 'ask'> {
    const { namespace = '/' } = audience;
    return {
      emit: (event, ...args) => {
        for (const connection of this.#audience(audience)) send(connection, namespace, event, args, null);
      },
      ask: (event, ...args) => {
        const [connection] = this.#audience(audience);
        if (!connection) return Promise.reject(new Error('nobody is connected who could be asked'));
        return ask(connection, namespace, event, args);
      },
    };
  }

  /** Somebody else enters a room, for presence. */
  join(room: string, userId: string, state: object = {}): Person {
    this.#people += 1;
    const { roster } = this.backend;
    const line: Line = roster.add(userId, `person-${this.#people}`);
    const show = (changes: object, expiresInMs?: number) => {
      roster.update(line, room, toFields(changes, 'the state'), this.clock.nowMs, expiresInMs);
    };
    show(state);
    return {
      update: (changes, { expiresInMs } = {}) => {
        show(changes, expiresInMs);
      },
      leave: () => {
        roster.leave(line, room);
        roster.end(line);
      },
    };
  }

  /** What the members of a room show, by user. */
  present(room: string): Record<string, Fields> {
    return Object.fromEntries(
      this.backend.roster.members(room).map(({ userId, shown }) => [userId, copy(shown.fields)]),
    );
  }

  /** Lets time pass, and everything happen that is due within it. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Resolves when nothing more happens without time passing. */
  settle(): Promise<void> {
    return this.clock.settle();
  }
}

function remember<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > REMEMBERED_MAX) list.shift();
}

function roomKey(namespace: string, room: string): string {
  return JSON.stringify([namespace, room]);
}

function send(
  { peer }: Connection,
  namespace: string,
  event: string,
  args: readonly unknown[],
  answer: ((args: readonly unknown[]) => void) | null,
): void {
  peer.deliver({ type: 'event', namespace, event, args: written(toPortable(args)) as unknown[], answer });
}

function ask(connection: Connection, namespace: string, event: string, args: unknown[]): Promise<unknown[]> {
  return new Promise((resolve) => {
    send(connection, namespace, event, args, (answered) => {
      resolve(read(answered) as unknown[]);
    });
  });
}

function refusal(error: unknown): object {
  if (!(error instanceof Failure)) return { code: 'internal', message: String(error) };
  const { code, message, retryAfterMs } = error;
  return { code, message, ...(retryAfterMs !== null && { retry_after_ms: retryAfterMs }) };
}

/** Lets everybody in. */
function moveBetweenRooms(call: ServerCall): unknown {
  const [argument] = call.args;
  const room =
    typeof argument === 'object' && argument !== null && 'room' in argument ? argument.room : argument;
  if (call.event === 'room:join') call.join(String(room));
  else call.leave(String(room));
  return { ok: true };
}
