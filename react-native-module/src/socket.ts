import type { Channel } from './channel.ts';
import type { NamespaceStatus, SocketMessage } from './contract.ts';
import { asSynclineError, SynclineError } from './error.ts';
import { guarded, type Report } from './guard.ts';
import type { Unsubscribe } from './observable.ts';
import { toPortable } from './portable.ts';
import { checkText } from './refs.ts';
import type { EmitEvents, ListenEvents } from './register.ts';
import { isPattern, named, type SocketHub } from './socket-hub.ts';
import { validated, type Validator } from './validation.ts';

/** Events and their listeners, as in Socket.IO: `{ news: (item: Item) => void }`; an answer is a last callback. */
export type EventsMap = object;

/** Any event, with arguments of any kind. */
export type AnyEvents = Record<string, (...args: unknown[]) => unknown>;

/** The name of an event of the server, a beginning such as `activity:*`, or `*`. */
export type TopicOf<Events extends EventsMap> = (keyof Events & string) | `${string}*`;

/** What is called with an event: its arguments, after its name where several are listened to. */
export type ListenerOf<Events extends EventsMap, Topic> = Topic extends `${string}*`
  ? (event: string, ...args: unknown[]) => void
  : Topic extends keyof Events
    ? Events[Topic] extends (...args: infer Args) => unknown
      ? (...args: Args) => void
      : never
    : never;

/** What an event carries, with the callback for the answer. */
export type ArgsOf<Events extends EventsMap, Event extends keyof Events> = Events[Event] extends (
  ...args: infer Args
) => unknown
  ? Args
  : never;

/** Without the callback for the answer. */
export type SentArgs<Args extends unknown[]> = Args extends [...infer Sent, (...answer: never[]) => unknown]
  ? Sent
  : Args;

/** What the callback for the answer is called with. */
export type AnswerOf<Args extends unknown[]> = Args extends [...unknown[], (answer: infer Answer) => unknown]
  ? Answer
  : unknown;

/** `sent`, `waiting` in memory for a connection, or `dropped`: volatile, without a connection. */
export type EmitResult = 'sent' | 'waiting' | 'dropped';

export interface SocketOptions<Events extends EventsMap> {
  /** Another namespace than the client's own. */
  readonly namespace?: string;
  /** Checks the first argument of an event before any listener sees it. What is not valid is an error event. */
  readonly validate?: { readonly [Event in keyof Events]?: Validator };
}

interface Modifiers {
  readonly volatile: boolean;
  readonly timeoutMs: number | null;
}

const PLAIN: Modifiers = { volatile: false, timeoutMs: null };

/** What a socket needs of its client. */
export interface SocketHost {
  readonly hub: SocketHub;
  readonly channel: () => Promise<Channel>;
  readonly report: Report;
}

/** The app's own events over the client's connection, typed by two maps of events. */
export class Socket<In extends EventsMap = ListenEvents, Out extends EventsMap = EmitEvents> {
  readonly namespace: string | undefined;
  readonly #host: SocketHost;
  readonly #options: SocketOptions<In>;
  readonly #modifiers: Modifiers;
  /** The listeners that `off` finds: by event, the function and what ends it, in order. */
  readonly #ends: Map<string, [listener: unknown, end: Unsubscribe][]>;

  constructor(
    host: SocketHost,
    options: SocketOptions<In> = {},
    modifiers = PLAIN,
    ends = new Map<string, [unknown, Unsubscribe][]>(),
  ) {
    this.#host = host;
    this.#options = options;
    this.#modifiers = modifiers;
    this.#ends = ends;
    this.namespace = options.namespace;
  }

  /** The same connection, seen in another way. */
  view<OtherIn extends EventsMap, OtherOut extends EventsMap>(
    options: SocketOptions<OtherIn>,
  ): Socket<OtherIn, OtherOut> {
    return new Socket(this.#host, options);
  }

  /** The same socket, whose events are dropped while there is no connection. */
  get volatile(): Socket<In, Out> {
    return new Socket(this.#host, this.#options, { ...this.#modifiers, volatile: true }, this.#ends);
  }

  /** The same socket, whose answers are awaited for so long. */
  timeout(ms: number): Socket<In, Out> {
    return new Socket(this.#host, this.#options, { ...this.#modifiers, timeoutMs: ms }, this.#ends);
  }

  /** Sends an event, or keeps it in memory until there is a connection. Bytes may be anywhere in the arguments. */
  async emit<Event extends keyof Out & string>(
    event: Event,
    ...args: SentArgs<ArgsOf<Out, Event>>
  ): Promise<EmitResult> {
    const { sent, waiting } = await (
      await this.#host.channel()
    ).call({
      type: 'emit',
      event,
      args: toPortable(args),
      ...named(this.namespace),
      ...(this.#modifiers.volatile && { volatile: true }),
    });
    if (sent) return 'sent';
    return waiting ? 'waiting' : 'dropped';
  }

  /**
   * Sends an event and resolves to the first argument of the server's answer. Rejects with `timeout` when none comes,
   * and with `unavailable` when the connection is lost before it does.
   */
  async emitWithAck<Event extends keyof Out & string>(
    event: Event,
    ...args: SentArgs<ArgsOf<Out, Event>>
  ): Promise<AnswerOf<ArgsOf<Out, Event>>> {
    const { timeoutMs } = this.#modifiers;
    const channel = await this.#host.channel();
    const answered = await channel.call({
      type: 'emitWithAck',
      event,
      args: toPortable(args),
      ...named(this.namespace),
      ...(timeoutMs !== null && { timeoutMs }),
    });
    return answered.args[0] as AnswerOf<ArgsOf<Out, Event>>;
  }

  /** Calls the listener for each such event, until the returned function is called. It holds across `close` and `open`. */
  on<Topic extends TopicOf<In>>(event: Topic, listener: ListenerOf<In, Topic>): Unsubscribe {
    checkText(event, 'event');
    const call = listener as (...args: unknown[]) => void;
    // What is checked while the listener goes is not delivered to it.
    let isOver = false;
    const unlisten = this.#host.hub.listen({ namespace: this.namespace, event }, (message) => {
      this.#deliver(event, message, (...args) => {
        if (!isOver) call(...args);
      });
    });
    const end = () => {
      isOver = true;
      unlisten();
    };
    const ends = this.#ends.get(event) ?? [];
    this.#ends.set(event, ends);
    const entry: [unknown, Unsubscribe] = [listener, end];
    ends.push(entry);
    return () => {
      this.#end(event, ends, entry);
    };
  }

  /** As `on`, for one event. */
  once<Topic extends TopicOf<In>>(event: Topic, listener: ListenerOf<In, Topic>): Unsubscribe {
    const call = listener as (...args: unknown[]) => void;
    const end = this.on(event, ((...args: unknown[]) => {
      end();
      call(...args);
    }) as ListenerOf<In, Topic>);
    return end;
  }

  /** Ends what `on` began: for one listener, or for all of an event. */
  off<Topic extends TopicOf<In>>(event: Topic, listener?: ListenerOf<In, Topic>): void {
    const ends = this.#ends.get(event) ?? [];
    const ended = listener ? ends.filter(([known]) => known === listener).slice(0, 1) : [...ends];
    for (const entry of ended) this.#end(event, ends, entry);
  }

  /**
   * Enters a room of the server's, again on each connection, until `leaveRoom` is called as often. Resolves to whether
   * the server has let the client in: false means that it will be asked. Rejects when the server refuses.
   */
  async joinRoom(room: string): Promise<boolean> {
    return this.#host.hub.join(this.namespace, checkText(room, 'room'));
  }

  async leaveRoom(room: string): Promise<void> {
    await this.#host.hub.leave(this.namespace, checkText(room, 'room'));
  }

  /** Joins this socket's namespace, with what the server asks for. Not needed before other calls, unless it does. */
  async connect(auth?: Record<string, unknown>): Promise<NamespaceStatus> {
    const namespace = checkText(this.namespace, 'namespace');
    const channel = await this.#host.channel();
    return channel.call({ type: 'connectNamespace', namespace, ...(auth && { auth }) });
  }

  /** Leaves this socket's namespace until `connect`. */
  async disconnect(): Promise<void> {
    const namespace = checkText(this.namespace, 'namespace');
    await (await this.#host.channel()).call({ type: 'disconnectNamespace', namespace });
  }

  #deliver(topic: string, message: SocketMessage, call: (...args: unknown[]) => void): void {
    const { args } = message;
    const deliver = (first: unknown[]) => {
      const all = [...first, ...args.slice(first.length)];
      if (message.ack !== undefined) all.push(this.#answer(message.ack));
      if (isPattern(topic)) call(message.event, ...all);
      else call(...all);
    };
    const validator = (this.#options.validate as Record<string, Validator | undefined> | undefined)?.[
      message.event
    ];
    if (!validator) {
      deliver([]);
      return;
    }
    const refuse = (error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      const text = `the payload of ${message.event} is not valid: ${why}`;
      this.#host.report(new SynclineError({ code: 'invalid', message: text, retry: 'never' }));
    };
    let value: unknown;
    try {
      value = validated(validator, args[0]);
    } catch (error) {
      refuse(error);
      return;
    }
    if (!(value instanceof Promise)) deliver([value]);
    else {
      value.then((valid) => {
        guarded(() => {
          deliver([valid]);
        }, this.#host.report);
      }, refuse);
    }
  }

  #answer(token: number): (...answer: unknown[]) => void {
    return (...answer) => {
      this.#host
        .channel()
        .then((channel) => channel.call({ type: 'ack', token, args: toPortable(answer) }))
        .catch((error: unknown) => {
          this.#host.report(asSynclineError(error));
        });
    };
  }

  #end(event: string, ends: [unknown, Unsubscribe][], entry: [unknown, Unsubscribe]): void {
    const index = ends.indexOf(entry);
    if (index < 0) return;
    ends.splice(index, 1);
    if (ends.length === 0) this.#ends.delete(event);
    entry[1]();
  }
}

/** The app's events over a client's connection, typed by maps of events, with payloads checked, or in another namespace. */
export function createSocket<In extends EventsMap = ListenEvents, Out extends EventsMap = EmitEvents>(
  client: { readonly socket: Socket },
  options: SocketOptions<NoInfer<In>> = {},
): Socket<In, Out> {
  return client.socket.view<In, Out>(options);
}
