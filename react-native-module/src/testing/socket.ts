// The app's own events: out, in, with answers, in namespaces and rooms.
import type {
  Answered,
  Command,
  DisconnectCause,
  Emit,
  EmitWithAck,
  NamespaceOptions,
  NamespaceState,
  NamespaceStatus,
  SocketRoom,
  Topic,
} from '../contract.ts';
import type { Context } from './context.ts';
import { Failure, isCode } from './errors.ts';
import { byteLength, isObject } from './values.ts';

const OWN_EVENTS = [
  'sync:subscribe',
  'sync:unsubscribe',
  'sync:pull',
  'sync:push',
  'presence:join',
  'presence:update',
  'presence:leave',
  'presence:ping',
];

type Answers = (args: readonly unknown[]) => void;

/** Who waits for something, until a time. */
interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Failure) => void;
  readonly deadlineMs: number;
}

interface Outgoing {
  readonly namespace: string;
  readonly event: string;
  readonly args: readonly unknown[];
  readonly waiter: Waiter<Answered> | null;
}

interface Extra {
  state: NamespaceState;
  reason: Failure | null;
  cause: DisconnectCause | null;
  readonly waiters: Waiter<NamespaceStatus>[];
}

interface Room {
  readonly namespace: string;
  readonly room: string;
  count: number;
  state: 'out' | 'asking' | 'in';
  retryAtMs: number;
  waiters: Waiter<{ joined: boolean }>[];
}

export type SocketCommand = Extract<
  Command,
  {
    type:
      | 'emit'
      | 'emitWithAck'
      | 'on'
      | 'off'
      | 'ack'
      | 'joinRoom'
      | 'leaveRoom'
      | 'connectNamespace'
      | 'disconnectNamespace';
  }
>;

/** Carries one event to the server, in an open session. */
export type Send = (
  namespace: string,
  event: string,
  args: readonly unknown[],
  answered: Answers | null,
) => void;

export class AppSocket {
  readonly #context: Context;
  readonly #main: string;
  readonly #send: Send;
  readonly #topics = new Map<string, number>();
  readonly #namespaces = new Map<string, Extra>();
  readonly #rooms = new Map<string, Room>();
  /** Answers of the app that the server waits for. */
  readonly #owed = new Map<number, Answers>();
  readonly #awaiting = new Set<Waiter<Answered>>();
  #buffer: Outgoing[] = [];
  #lastToken = 0;

  constructor(context: Context, main: string, send: Send) {
    this.#context = context;
    this.#main = main;
    this.#send = send;
  }

  execute(command: SocketCommand): unknown {
    switch (command.type) {
      case 'emit':
        return this.#emit(command);
      case 'emitWithAck':
        return this.#emitWithAck(command);
      case 'on':
        this.#on(command);
        return {};
      case 'off':
        this.#off(command);
        return {};
      case 'ack':
        this.#answer(command.token, command.args);
        return {};
      case 'joinRoom':
        return this.#joinRoom(command);
      case 'leaveRoom':
        return this.#leaveRoom(command);
      case 'connectNamespace':
        return this.#connectNamespace(command);
      case 'disconnectNamespace':
        this.#disconnectNamespace(command.namespace);
        return {};
    }
  }

  #isOpen(namespace: string): boolean {
    if (!this.#context.connection) return false;
    return namespace === this.#main || this.#namespaces.get(namespace)?.state === 'open';
  }

  #use(namespace = this.#main): string {
    if (namespace !== this.#main && !this.#namespaces.has(namespace)) this.#want(namespace);
    return namespace;
  }

  #outgoing(command: Emit | EmitWithAck, waiter: Waiter<Answered> | null): Outgoing {
    const namespace = this.#use(command.namespace);
    const { event, args = [] } = command as { event: string; args?: readonly unknown[] };
    if (namespace === this.#main && OWN_EVENTS.includes(event)) {
      throw new Failure('invalid', `${event} is an event of the sync protocol`);
    }
    return { namespace, event, args, waiter };
  }

  #keep(outgoing: Outgoing): void {
    const { emitBufferCountMax, emitBufferBytesMax } = this.#context.settings;
    const bytes = [...this.#buffer, outgoing].reduce((sum, { args }) => sum + byteLength(args), 0);
    if (this.#buffer.length >= emitBufferCountMax || bytes > emitBufferBytesMax) {
      throw new Failure('queue_full', 'too many events wait for a connection');
    }
    this.#buffer.push(outgoing);
  }

  #emit(command: Emit): { sent: boolean; waiting: boolean } {
    const outgoing = this.#outgoing(command, null);
    if (this.#isOpen(outgoing.namespace)) {
      this.#transmit(outgoing);
      return { sent: true, waiting: false };
    }
    if (command.volatile) return { sent: false, waiting: false };
    this.#keep(outgoing);
    return { sent: false, waiting: true };
  }

  #emitWithAck(command: EmitWithAck): Promise<Answered> {
    const { nowMs, settings } = this.#context;
    const deadlineMs = nowMs + (command.timeoutMs ?? settings.emitTimeoutMs);
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject, deadlineMs };
      const outgoing = this.#outgoing(command, waiter);
      this.#awaiting.add(waiter);
      if (this.#isOpen(outgoing.namespace)) this.#transmit(outgoing);
      else this.#keep(outgoing);
    });
  }

  #transmit({ namespace, event, args, waiter }: Outgoing): void {
    const answered = (answer: readonly unknown[]) => {
      if (waiter && this.#awaiting.delete(waiter)) waiter.resolve({ args: [...answer] });
    };
    this.#send(namespace, event, args, waiter && answered);
  }

  #on({ namespace, event }: Topic): void {
    const key = topicKey(this.#use(namespace), event);
    this.#topics.set(key, (this.#topics.get(key) ?? 0) + 1);
  }

  #off({ namespace = this.#main, event }: Topic): void {
    const key = topicKey(namespace, event);
    const count = this.#topics.get(key);
    if (count === undefined) throw new Failure('not_found', 'the event is not listened to');
    if (count > 1) this.#topics.set(key, count - 1);
    else this.#topics.delete(key);
  }

  #answer(token: number, args: readonly unknown[]): void {
    const answer = this.#owed.get(token);
    if (!answer)
      throw new Failure('not_found', 'nobody waits for the answer: it was given, or the connection ended');
    this.#owed.delete(token);
    answer(args);
  }

  /** An event of the server, for the app if it listens. */
  handleEvent(namespace: string, event: string, args: readonly unknown[], answer: Answers | null): void {
    const isHeard = [...this.#topics.keys()].some((key) => {
      const [of, topic] = JSON.parse(key) as [string, string];
      return (
        of === namespace && (topic.endsWith('*') ? event.startsWith(topic.slice(0, -1)) : topic === event)
      );
    });
    if (!isHeard) return;
    const message = { type: 'message' as const, namespace, event, args: [...args] };
    if (!answer) {
      this.#context.notice(message);
      return;
    }
    this.#lastToken += 1;
    this.#owed.set(this.#lastToken, answer);
    this.#context.notice({ ...message, ack: this.#lastToken });
  }

  #want(namespace: string): Extra {
    if (this.#namespaces.size >= this.#context.settings.namespacesMax) {
      throw new Failure('queue_full', 'too many namespaces');
    }
    const extra: Extra = { state: 'idle', reason: null, cause: null, waiters: [] };
    this.#namespaces.set(namespace, extra);
    this.#join(namespace, extra);
    return extra;
  }

  #connectNamespace({ namespace }: NamespaceOptions): Promise<NamespaceStatus> {
    if (namespace === this.#main) throw new Failure('invalid', `${namespace} is the client's own namespace`);
    const extra = this.#namespaces.get(namespace) ?? this.#want(namespace);
    if (extra.state === 'open') return Promise.resolve(namespaceStatus(namespace, extra));
    if (extra.state === 'idle') this.#join(namespace, extra);
    return new Promise((resolve, reject) => {
      extra.waiters.push({
        resolve,
        reject,
        deadlineMs: this.#context.nowMs + this.#context.settings.connectTimeoutMs,
      });
    });
  }

  #join(namespace: string, extra: Extra): void {
    if (!this.#context.connection) return;
    extra.state = 'connecting';
    this.#context.ask(
      (connection) => {
        this.#context.backend.connectNamespace(connection, namespace);
        return true;
      },
      (answer) => {
        if (this.#namespaces.get(namespace) !== extra) return;
        const waiters = extra.waiters.splice(0);
        if (answer instanceof Failure) {
          Object.assign(extra, { state: 'idle', reason: answer, cause: 'refused' });
          for (const { reject } of waiters) reject(answer);
        } else {
          Object.assign(extra, { state: 'open', reason: null, cause: null });
          for (const { resolve } of waiters) resolve(namespaceStatus(namespace, extra));
          this.#enter(namespace);
        }
        this.#context.notice({ type: 'namespace', status: namespaceStatus(namespace, extra) });
      },
    );
  }

  #disconnectNamespace(namespace: string): void {
    const extra = this.#namespaces.get(namespace);
    if (!extra) throw new Failure('not_found', `the namespace ${namespace} is not used`);
    this.#namespaces.delete(namespace);
    for (const { reject } of extra.waiters)
      reject(new Failure('closed', 'the namespace is not used any more'));
    const { backend, connection } = this.#context;
    if (connection) backend.disconnectNamespace(connection, namespace);
  }

  /** A namespace is open: rooms are joined anew, and what has waited goes out. */
  #enter(namespace: string): void {
    for (const room of this.#rooms.values()) if (room.namespace === namespace) this.#askToJoin(room);
    const waiting = this.#buffer.filter((outgoing) => outgoing.namespace === namespace);
    this.#buffer = this.#buffer.filter((outgoing) => outgoing.namespace !== namespace);
    for (const outgoing of waiting) this.#transmit(outgoing);
  }

  handleOpened(): void {
    for (const [namespace, extra] of this.#namespaces) this.#join(namespace, extra);
    this.#enter(this.#main);
  }

  /** What was sent and not answered never will be. */
  handleLost(): void {
    const lost = new Failure('unreachable', 'the connection was lost');
    const kept = new Set(this.#buffer.map(({ waiter }) => waiter));
    for (const waiter of this.#awaiting) {
      if (kept.has(waiter)) continue;
      this.#awaiting.delete(waiter);
      waiter.reject(lost);
    }
    this.#owed.clear();
    for (const extra of this.#namespaces.values()) extra.state = 'idle';
    for (const room of this.#rooms.values()) {
      room.state = 'out';
      for (const { resolve } of room.waiters.splice(0)) resolve({ joined: false });
    }
  }

  close(): void {
    this.#buffer = [];
    const closed = new Failure('closed', 'the client is closed');
    for (const { reject } of this.#awaiting) reject(closed);
    this.#awaiting.clear();
    for (const { waiters } of this.#namespaces.values()) for (const { reject } of waiters) reject(closed);
    this.handleLost();
  }

  #joinRoom({ namespace, room }: SocketRoom): { joined: boolean } | Promise<{ joined: boolean }> {
    const used = this.#use(namespace);
    const key = topicKey(used, room);
    const known = this.#rooms.get(key) ?? {
      namespace: used,
      room,
      count: 0,
      state: 'out',
      retryAtMs: Infinity,
      waiters: [],
    };
    this.#rooms.set(key, known);
    known.count += 1;
    if (known.state === 'in') return { joined: true };
    if (!this.#isOpen(used)) return { joined: false };
    return new Promise((resolve, reject) => {
      known.waiters.push({ resolve, reject, deadlineMs: Infinity });
      if (known.state === 'out') this.#askToJoin(known);
    });
  }

  #askToJoin(room: Room): void {
    const { settings } = this.#context;
    room.state = 'asking';
    room.retryAtMs = Infinity;
    const joined = () => {
      room.state = 'in';
      for (const { resolve } of room.waiters.splice(0)) resolve({ joined: true });
    };
    const answered = (args: readonly unknown[]) => {
      const error = errorOfAnswer(args);
      if (!error) joined();
      else this.#refuseJoin(room, error);
    };
    this.#send(
      room.namespace,
      settings.roomJoinEvent,
      this.#roomArgs(room),
      settings.roomAcked ? answered : null,
    );
    if (!settings.roomAcked) joined();
  }

  #refuseJoin(room: Room, error: Failure): void {
    const { nowMs, settings } = this.#context;
    room.state = 'out';
    if (error.retry === 'later') room.retryAtMs = nowMs + (error.retryAfterMs ?? settings.roomRetryMs);
    else this.#rooms.delete(topicKey(room.namespace, room.room));
    const waiters = room.waiters.splice(0);
    for (const { reject } of waiters) reject(error);
    if (waiters.length > 0) return;
    this.#context.notice({
      type: 'joinRefused',
      namespace: room.namespace,
      room: room.room,
      error: error.body,
    });
  }

  #roomArgs({ room }: Room): unknown[] {
    return [this.#context.settings.roomArgument === 'object' ? { room } : room];
  }

  #leaveRoom({ namespace = this.#main, room: name }: SocketRoom): object | Promise<object> {
    const { settings } = this.#context;
    const room = this.#rooms.get(topicKey(namespace, name));
    if (!room) throw new Failure('not_found', `room ${name} was not joined`);
    room.count -= 1;
    if (room.count > 0) return {};
    this.#rooms.delete(topicKey(namespace, name));
    for (const { resolve } of room.waiters) resolve({ joined: false });
    if (!this.#isOpen(namespace)) return {};
    if (!settings.roomAcked) {
      this.#send(namespace, settings.roomLeaveEvent, this.#roomArgs(room), null);
      return {};
    }
    const command = { namespace, event: settings.roomLeaveEvent, args: this.#roomArgs(room) };
    return this.#emitWithAck(command).then(({ args }) => {
      const error = errorOfAnswer(args);
      if (error) throw error;
      return {};
    });
  }

  get nextMs(): number {
    const waits = [...this.#awaiting].map(({ deadlineMs }) => deadlineMs);
    const retries = this.#context.connection
      ? [...this.#rooms.values()].map(({ retryAtMs }) => retryAtMs)
      : [];
    return Math.min(Infinity, ...waits, ...retries);
  }

  work(): void {
    const { nowMs, connection } = this.#context;
    for (const waiter of this.#awaiting) {
      if (waiter.deadlineMs > nowMs) continue;
      this.#awaiting.delete(waiter);
      this.#buffer = this.#buffer.filter((outgoing) => outgoing.waiter !== waiter);
      waiter.reject(new Failure('timeout', 'the server did not answer in time'));
    }
    for (const room of this.#rooms.values()) if (connection && room.retryAtMs <= nowMs) this.#askToJoin(room);
  }
}

function topicKey(namespace: string, name: string): string {
  return JSON.stringify([namespace, name]);
}

function namespaceStatus(namespace: string, { state, reason, cause }: Extra): NamespaceStatus {
  return { namespace, state, reason: reason?.body ?? null, cause, data: null, recovered: false };
}

/** The error in an answer: `{error: {code?, message?}}`, `{error: "text"}`, or `{ok: false, message?}`. */
function errorOfAnswer([first]: readonly unknown[]): Failure | null {
  if (!isObject(first)) return null;
  const { error, ok, message } = first;
  const refused = (said: unknown) =>
    new Failure('forbidden', typeof said === 'string' ? said : 'the server refused');
  if (error === undefined || error === null) return ok === false ? refused(message) : null;
  if (!isObject(error)) return refused(error);
  const { code, message: said, retry_after_ms: advice } = error;
  if (!isCode(code)) return refused(said);
  return new Failure(
    code,
    typeof said === 'string' ? said : code,
    typeof advice === 'number' ? advice : null,
  );
}
