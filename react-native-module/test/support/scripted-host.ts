import type { Command, ErrorBody, Event } from '../../src/contract.ts';
import type { EventsListener, Host, Parcel } from '../../src/host.ts';
import { EMPTY_QUEUE, IDLE_CONNECTION } from '../../src/idle.ts';

type Answer = (command: Command, client: number) => unknown;

/** What the core answers when nothing is wrong and nothing is there. */
function nothing(command: Command): unknown {
  switch (command.type) {
    case 'connection':
      return IDLE_CONNECTION;
    case 'queue':
      return EMPTY_QUEUE;
    case 'outcomes':
      return { outcomes: [] };
    case 'conflicts':
      return { conflicts: [] };
    case 'emit':
      return { sent: true, waiting: false };
    case 'emitWithAck':
      return { args: [] };
    case 'joinRoom':
      return { joined: true };
    case 'newId':
      return { id: 'new' };
    case 'write':
      return { clientSeqs: command.writes.map((_, index) => index + 1) };
    case 'jobs':
      return command.command.type === 'deadLetters' ? { deadLetters: [] } : {};
    default:
      return {};
  }
}

/** An error that a scripted answer throws, for the core to reply with. */
export class Refusal extends Error {
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(body.message);
    this.body = body;
  }
}

/** Stands in for the core where its timing matters: answers when and what the test says, and keeps what it was told. */
export class ScriptedHost implements Host {
  readonly configs: Record<string, unknown>[] = [];
  readonly calls: {
    readonly client: number;
    readonly command: Command;
    readonly attachments: Parcel['attachments'];
  }[] = [];
  /** Clients opened, and closed in the end, in order. */
  readonly log: { readonly type: 'open' | 'close'; readonly client: number }[] = [];
  /** What a phone says of rounds in the background. */
  backgroundPermitted = true;
  readonly #listeners = new Set<EventsListener>();
  readonly #answer: Answer;

  /** `answer` may return a promise, and bytes anywhere; undefined stands for the usual answer. */
  constructor(answer: Answer = () => undefined) {
    this.#answer = answer;
  }

  open(config: string): Promise<string> {
    this.configs.push(JSON.parse(config) as Record<string, unknown>);
    this.log.push({ type: 'open', client: this.configs.length });
    return Promise.resolve(JSON.stringify({ ok: { client: this.configs.length } }));
  }

  async call(client: number, { text, attachments }: Parcel): Promise<Parcel> {
    const command = JSON.parse(text) as Command;
    this.calls.push({ client, command, attachments });
    try {
      const ok = (await this.#answer(command, client)) ?? nothing(command);
      if (command.type === 'close') this.log.push({ type: 'close', client });
      return parcelOf({ ok });
    } catch (error) {
      if (error instanceof Refusal) return parcelOf({ error: error.body });
      throw error;
    }
  }

  closeAll(): Promise<void> {
    return Promise.resolve();
  }

  defaultDirectory(name: string): string {
    return name;
  }

  isBackgroundPermitted(): boolean {
    return this.backgroundPermitted;
  }

  addEventsListener(listener: EventsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(client: number, ...events: Event[]): void {
    for (const listener of [...this.#listeners]) listener(client, parcelOf(events));
  }

  /** The commands of these types, in the order in which they came. */
  told(...types: Command['type'][]): Command[] {
    return this.calls.map(({ command }) => command).filter(({ type }) => types.includes(type));
  }
}

/** As the core writes it: bytes beside the text. */
function parcelOf(value: unknown): Parcel {
  const attachments: Uint8Array[] = [];
  const text = JSON.stringify(value, (_, member: unknown) =>
    member instanceof Uint8Array ? { $attachment: attachments.push(member) - 1 } : member,
  );
  return { text, attachments };
}

/** A promise and what settles it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** Lets everything run that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
