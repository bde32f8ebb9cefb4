import type {
  Answered,
  Command,
  ConnectionStatus,
  ErrorBody,
  JobReply,
  Event,
  NamespaceStatus,
  RejectedWrite,
  ParkedWrite,
  QueueStatus,
  RoomStatus,
  Row,
  Stats,
  TraceEvent,
} from './contract.ts';
import { asSynclineError, SynclineError } from './error.ts';
import type { Host, Parcel } from './host.ts';
import type { Unsubscribe } from './observable.ts';
import type { OpenOptions } from './options.ts';
import { fromPortable, pack } from './portable.ts';

type Nothing = Readonly<Record<string, never>>;

/** What became of one round of synchronization. */
export interface SyncReport {
  /** Whether everything written before is answered by the server, and every room has caught up. */
  readonly complete: boolean;
  /** Writes not yet confirmed. */
  readonly pending: number;
  /** Why it is not complete. */
  readonly reason: ErrorBody | null;
}

/** What each command resolves to. */
export interface Results {
  connect: Nothing;
  disconnect: Nothing;
  setToken: Nothing;
  tokenFailed: Nothing;
  setAppState: Nothing;
  setNetwork: Nothing;
  subscribe: Nothing;
  unsubscribe: Nothing;
  write: { clientSeqs: number[] };
  newId: { id: string };
  document: { row: Row | null };
  watch: { watch: number; rows: Row[]; count: number; room: RoomStatus };
  unwatch: Nothing;
  presenceJoin: Nothing;
  presenceUpdate: Nothing;
  presenceLeave: Nothing;
  emit: { sent: boolean; waiting: boolean };
  emitWithAck: Answered;
  on: Nothing;
  off: Nothing;
  ack: Nothing;
  joinRoom: { joined: boolean };
  leaveRoom: Nothing;
  connectNamespace: NamespaceStatus;
  disconnectNamespace: Nothing;
  connection: ConnectionStatus;
  queue: QueueStatus;
  outcomes: { outcomes: RejectedWrite[] };
  acknowledgeOutcome: Nothing;
  conflicts: { conflicts: ParkedWrite[] };
  resolveConflict: Nothing;
  syncNow: Nothing;
  pull: Nothing;
  flush: Nothing;
  syncOnce: SyncReport;
  stats: Stats;
  trace: { events: TraceEvent[] };
  jobs: JobReply;
  close: Nothing;
}

export interface ChannelListener {
  /** Gets the client's events, in order, and none after `close`. */
  readonly onEvents: (events: Event[]) => void;
  /** A command found the client closed. */
  readonly onClosed: (channel: Channel, command: Command) => void;
}

/** The events and the replies in which there are values of the app, and so perhaps bytes. */
const EVENTS_WITH_VALUES: readonly Event['type'][] = ['message', 'job', 'connection', 'namespace'];
const REPLIES_WITH_VALUES: readonly Command['type'][] = [
  'emitWithAck',
  'jobs',
  'connection',
  'connectNamespace',
];

/** One open client of the core: commands in, replies and events out. */
export class Channel {
  readonly #host: Host;
  readonly #client: number;
  readonly #stopListening: Unsubscribe;
  readonly #onClosed: ChannelListener['onClosed'];

  private constructor(
    host: Host,
    client: number,
    stopListening: Unsubscribe,
    onClosed: ChannelListener['onClosed'],
  ) {
    this.#host = host;
    this.#client = client;
    this.#stopListening = stopListening;
    this.#onClosed = onClosed;
  }

  /** Opens a client. */
  static async open(
    host: Host,
    config: OpenOptions,
    { onEvents, onClosed }: ChannelListener,
  ): Promise<Channel> {
    // Events may overtake the reply that says which client they belong to.
    let early: [number, Parcel][] | null = [];
    let client: number | null = null;
    const stopListening = host.addEventsListener((from, events) => {
      if (early) early.push([from, events]);
      else if (from === client) onEvents(parseEvents(events));
    });
    try {
      ({ client } = open(await host.open(JSON.stringify(config))) as { client: number });
    } catch (error) {
      stopListening();
      throw asSynclineError(error);
    }
    const channel = new Channel(host, client, stopListening, onClosed);
    // After the caller has the channel, as for every later event.
    queueMicrotask(() => {
      const waiting = early ?? [];
      early = null;
      for (const [from, events] of waiting) if (from === client) onEvents(parseEvents(events));
    });
    return channel;
  }

  async call<C extends Command>(command: C): Promise<Results[C['type']]> {
    try {
      const { text, attachments } = await this.#host.call(this.#client, pack(command));
      const reply = open(text);
      const hasValues = REPLIES_WITH_VALUES.includes(command.type);
      return (hasValues ? fromPortable(reply, attachments) : reply) as Results[C['type']];
    } catch (error) {
      const failure = asSynclineError(error);
      if (failure.code === 'closed') this.#checkClosed(command);
      throw failure;
    }
  }

  #checkClosed(command: Command): void {
    if (command.type !== 'connect') this.#onClosed(this, command);
    // Answered so, too, when it is called off by `disconnect`: another command tells.
    else this.call({ type: 'connection' }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#stopListening();
    await this.call({ type: 'close' });
  }
}

function parseEvents({ text, attachments }: Parcel): Event[] {
  const events = JSON.parse(text) as Event[];
  return events.map((event) =>
    EVENTS_WITH_VALUES.includes(event.type) ? (fromPortable(event, attachments) as Event) : event,
  );
}

/** Takes the result out of its envelope. */
function open(reply: string): unknown {
  const envelope = JSON.parse(reply) as { ok: unknown } | { error: ErrorBody };
  if ('error' in envelope) throw new SynclineError(envelope.error);
  return envelope.ok;
}
