import type { Channel } from './channel.ts';
import type { SocketMessage } from './contract.ts';
import { asSynclineError } from './error.ts';
import { guarded, type Report } from './guard.ts';
import type { Unsubscribe } from './observable.ts';
import { Subscriptions } from './subscriptions.ts';

/** What a topic ends in that stands for all names that begin like it. */
const WILDCARD = '*';

export type MessageListener = (message: SocketMessage) => void;

interface Topic {
  readonly namespace?: string | undefined;
  readonly event: string;
}

interface JoinedRoom {
  readonly namespace: string | undefined;
  readonly room: string;
  joins: number;
  /** Of these, those that the core has not answered: what is opened again does not repeat them. */
  asked: number;
}

export function isPattern(event: string): boolean {
  return event.endsWith(WILDCARD);
}

/** The events of the server for the whole client: each topic is asked of the core once, for all who listen. */
export class SocketHub {
  readonly #channel: () => Promise<Channel>;
  readonly #report: Report;
  /** What the client's own namespace is called by the core. */
  readonly #main: string;
  readonly #topics: Subscriptions;
  readonly #listeners = new Map<string, Set<MessageListener>>();
  /** Joined, by whatever view, and joined again when the client is opened again. */
  readonly #rooms = new Map<string, JoinedRoom>();

  constructor(channel: () => Promise<Channel>, report: Report, main: string | undefined) {
    this.#channel = channel;
    this.#report = report;
    this.#main = main ?? '/';
    this.#topics = new Subscriptions(channel, report, {
      begin: (key) => ({ type: 'on', ...parseTopic(key) }),
      end: (key) => ({ type: 'off', ...parseTopic(key) }),
    });
  }

  /** How many different events are listened to. */
  get topicCount(): number {
    return this.#listeners.size;
  }

  listen(topic: Topic, listener: MessageListener): Unsubscribe {
    const key = topicKey(topic);
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners);
    // Wrapped, so that one function that listens twice is called twice.
    const entry: MessageListener = (message) => {
      listener(message);
    };
    listeners.add(entry);
    const end = this.#topics.subscribe(key);
    return () => {
      if (!listeners.delete(entry)) return;
      if (listeners.size === 0 && this.#listeners.get(key) === listeners) this.#listeners.delete(key);
      end();
    };
  }

  handleMessage(message: SocketMessage): void {
    for (const [key, listeners] of [...this.#listeners]) {
      if (!this.#matches(parseTopic(key), message)) continue;
      for (const listener of [...listeners]) {
        guarded(() => {
          listener(message);
        }, this.#report);
      }
    }
  }

  async join(namespace: string | undefined, room: string): Promise<boolean> {
    const key = JSON.stringify([namespace, room]);
    const channel = await this.#channel();
    // Before the answer: a `leave` that comes meanwhile takes this one back.
    const entry = this.#rooms.get(key) ?? { namespace, room, joins: 0, asked: 0 };
    this.#rooms.set(key, entry);
    entry.joins += 1;
    entry.asked += 1;
    try {
      return (await channel.call({ type: 'joinRoom', room, ...named(namespace) })).joined;
    } catch (error) {
      if (this.#rooms.get(key) === entry) this.#takeBack(key);
      throw error;
    } finally {
      entry.asked -= 1;
    }
  }

  async leave(namespace: string | undefined, room: string): Promise<void> {
    let channel: Channel;
    try {
      channel = await this.#channel();
    } finally {
      // After what was asked for before.
      this.#takeBack(JSON.stringify([namespace, room]));
    }
    await channel.call({ type: 'leaveRoom', room, ...named(namespace) });
  }

  #takeBack(key: string): void {
    const entry = this.#rooms.get(key);
    if (!entry) return;
    entry.joins -= 1;
    if (entry.joins === 0) this.#rooms.delete(key);
  }

  /** The client was opened: what is listened to and joined is asked for again. */
  attach(channel: Channel): void {
    this.#topics.attach();
    for (const { namespace, room, joins, asked } of this.#rooms.values()) {
      for (let count = asked; count < joins; count += 1) {
        channel.call({ type: 'joinRoom', room, ...named(namespace) }).catch((error: unknown) => {
          this.#report(asSynclineError(error));
        });
      }
    }
  }

  detach(): void {
    this.#topics.detach();
  }

  #matches({ namespace, event }: Topic, message: SocketMessage): boolean {
    if ((namespace ?? this.#main) !== message.namespace) return false;
    return isPattern(event) ? message.event.startsWith(event.slice(0, -1)) : message.event === event;
  }
}

/** The namespace in a command, which names the client's own by leaving it out. */
export function named(namespace: string | undefined): { namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}

function topicKey({ namespace, event }: Topic): string {
  return JSON.stringify(namespace === undefined ? [event] : [event, namespace]);
}

function parseTopic(key: string): { event: string; namespace?: string } {
  const [event = '', namespace] = JSON.parse(key) as string[];
  return { event, ...named(namespace) };
}
