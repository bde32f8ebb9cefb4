import type { SyncClient } from '../client.ts';
import type { RoomStatus, Stats } from '../contract.ts';
import { asSynclineError } from '../error.ts';
import { combine, type Observable, Store, type Unsubscribe } from '../observable.ts';
import { polled } from '../polled.ts';
import type { CoreQuery } from '../watches.ts';
import { LogSource } from './log.ts';
import { OfflineHold } from './offline-hold.ts';
import {
  type AppMessage,
  type DevToolsChannel,
  FROM_APP,
  FROM_PANEL,
  type Histories,
  ITEMS_MAX,
  LATENCY_MAX,
  type LatencySample,
  newName,
  type PanelCommand,
  type PanelMessage,
  PANELS_MAX,
  type Parts,
  PROTOCOL_VERSION,
  PUBLISH_INTERVAL_MS,
  readMessage,
  SILENCE_MS,
  STATS_INTERVAL_MS,
  TIMELINE_MAX,
  type TimelineEntry,
} from './protocol.ts';
import {
  latencyOf,
  listed,
  readWork,
  shownConflict,
  shownDocuments,
  shownJob,
  shownLetter,
  shownPresence,
  shownRejection,
  shownRoom,
} from './shown.ts';
import { each, History } from './sources.ts';

type Sources = { readonly [Name in keyof Parts]: Observable<Parts[Name]> };

type Message<M = AppMessage> = M extends AppMessage ? Omit<M, 'version' | 'app'> : never;

/** One client, told to the panels that are open, and doing what they ask. Costs next to nothing while none is. */
export class Session {
  readonly #app = newName();
  readonly #client: SyncClient;
  readonly #channel: DevToolsChannel;
  readonly #hold: OfflineHold;
  readonly #log: LogSource;
  readonly #timeline = new History<TimelineEntry>(TIMELINE_MAX);
  readonly #latency = new History<LatencySample>(LATENCY_MAX);
  readonly #rooms = new Store<readonly RoomStatus[]>([]);
  readonly #selected = new Store<readonly CoreQuery[]>([]);
  readonly #stats: Observable<Stats | null>;
  readonly #sources: Sources;
  /** When each panel was last heard. */
  readonly #panels = new Map<string, number>();
  /** The parts as the panels know them. */
  #told: Partial<Parts> = {};
  #toldAtMs = 0;
  #sequence = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #watch: ReturnType<typeof setInterval> | null = null;
  /** What ends with the last panel. */
  #looking: readonly Unsubscribe[] = [];
  readonly #always: readonly Unsubscribe[];

  constructor(client: SyncClient, channel: DevToolsChannel) {
    this.#client = client;
    this.#channel = channel;
    this.#hold = new OfflineHold(client);
    this.#log = new LogSource(client, this.#schedule);
    this.#stats = polled<Stats | null>(null, () => this.#readStats(), STATS_INTERVAL_MS);
    this.#sources = this.#makeSources();
    const heard = channel.addMessageListener(FROM_PANEL, (message) => {
      this.#handle(message);
    });
    this.#always = [
      () => {
        heard.remove();
      },
      client.connection.subscribe(this.#noteConnection),
      client.on('room', ({ status }) => {
        const others = this.#rooms.get().filter(({ room }) => room !== status.room);
        this.#rooms.set([...others, status].slice(-ITEMS_MAX));
      }),
    ];
    this.#noteConnection();
  }

  /** The panels forget the client; one that was held offline may connect again. */
  end(): void {
    for (const end of this.#always) end();
    this.#stopLooking();
    this.#hold.release().catch(() => undefined);
    this.#send({ type: 'gone' });
  }

  #makeSources(): Sources {
    const client = this.#client;
    const documents = each(
      this.#selected,
      (query) => {
        const rows = client.watch(query);
        return combine([rows, client.conflicts], (snapshot, conflicts) =>
          shownDocuments(query, snapshot, conflicts),
        );
      },
      (_, shown) => shown,
    );
    const presence = each(client.presences.held, (room) => client.presence(room), shownPresence);
    return {
      name: new Store(client.name),
      connection: client.connection,
      progress: client.progress,
      queue: client.queue,
      jobs: combine([client.queue.jobs], (jobs) => listed(jobs, shownJob)),
      deadLetters: combine([client.queue.deadLetters], (letters) => listed(letters, shownLetter)),
      rejections: combine([client.outcomes], (rejected) => listed(rejected, shownRejection)),
      conflicts: combine([client.conflicts], (parked) => listed(parked, shownConflict)),
      queries: combine([client.queries], (queries) => listed(queries, (query) => query)),
      documents: combine([documents], ([first]) => first ?? null),
      rooms: combine([this.#rooms], (rooms) => listed(rooms, shownRoom)),
      presence: combine([presence], (rooms) => listed(rooms, (room) => room)),
      stats: this.#stats,
      isHeldOffline: this.#hold.isHeld,
      logLevel: this.#log.level,
      logError: this.#log.error,
    };
  }

  readonly #noteConnection = (): void => {
    const { state, cause, reason, attempts, recovered } = this.#client.connection.get();
    const last = this.#timeline.all.at(-1);
    const isNews = last?.state !== state || last.cause !== cause || last.reason?.code !== reason?.code;
    if (isNews) this.#timeline.add({ atMs: Date.now(), state, cause, reason, attempts, recovered });
  };

  /** A client that is closed is not opened for its figures. */
  async #readStats(): Promise<Stats | null> {
    if (this.#client.connection.get().state === 'closed') return this.#stats.get();
    const stats = await this.#client.stats();
    this.#latency.add(latencyOf(Date.now(), stats));
    return stats;
  }

  #handle(received: unknown): void {
    const message = readMessage<PanelMessage>(received);
    if (!message) return;
    if (message.version !== PROTOCOL_VERSION) {
      this.#send({ type: 'incompatible' });
      return;
    }
    switch (message.type) {
      case 'beat':
        this.#meet(message.panel);
        break;
      case 'resync':
        if (message.app === this.#app) this.#tellAll();
        break;
      case 'command':
        if (message.app === this.#app) void this.#answer(message.request, message.command);
        break;
      case 'gone':
        this.#forget([message.panel]);
        break;
    }
  }

  #meet(panel: string): void {
    const isNew = !this.#panels.has(panel);
    if (isNew && this.#panels.size >= PANELS_MAX) return;
    this.#panels.set(panel, Date.now());
    if (this.#looking.length === 0) this.#startLooking();
    if (isNew) this.#tellAll();
    else this.#send({ type: 'alive' });
  }

  #forget(panels: readonly string[]): void {
    for (const panel of panels) this.#panels.delete(panel);
    if (this.#panels.size === 0) this.#stopLooking();
  }

  #startLooking(): void {
    const sources: Observable<unknown>[] = Object.values(this.#sources);
    this.#looking = sources.map((source) => source.subscribe(this.#schedule));
    this.#log.begin();
    this.#watch = setInterval(() => {
      const silent = [...this.#panels].filter(([, heardAtMs]) => Date.now() - heardAtMs > SILENCE_MS);
      this.#forget(silent.map(([panel]) => panel));
    }, SILENCE_MS / 2);
  }

  #stopLooking(): void {
    for (const end of this.#looking) end();
    this.#looking = [];
    this.#panels.clear();
    this.#log.end();
    if (this.#watch) clearInterval(this.#watch);
    if (this.#timer) clearTimeout(this.#timer);
    this.#watch = null;
    this.#timer = null;
  }

  readonly #schedule = (): void => {
    if (this.#timer || this.#looking.length === 0) return;
    const dueInMs = this.#toldAtMs + PUBLISH_INTERVAL_MS - Date.now();
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#tellNews();
      },
      Math.max(0, dueInMs),
    );
  };

  #read(): Parts {
    const entries = Object.entries(this.#sources).map(([name, source]) => [name, source.get() as unknown]);
    return Object.fromEntries(entries) as Parts;
  }

  #tellAll(): void {
    const parts = this.#read();
    for (const history of [this.#timeline, this.#latency, this.#log.history]) history.take();
    const added = { timeline: this.#timeline.all, latency: this.#latency.all, log: this.#log.history.all };
    this.#tell(parts, { type: 'state', sequence: ++this.#sequence, parts, added });
  }

  #tellNews(): void {
    const parts = this.#read();
    const changed = Object.fromEntries(
      Object.entries(parts).filter(([name, value]) => this.#told[name as keyof Parts] !== value),
    ) as Partial<Parts>;
    const taken: Histories = {
      timeline: this.#timeline.take(),
      latency: this.#latency.take(),
      log: this.#log.history.take(),
    };
    const added = Object.fromEntries(
      Object.entries(taken).filter(([, entries]: [string, readonly unknown[]]) => entries.length > 0),
    ) as Partial<Histories>;
    if (Object.keys(changed).length + Object.keys(added).length === 0) return;
    this.#tell(parts, { type: 'update', sequence: ++this.#sequence, parts: changed, added });
  }

  #tell(parts: Parts, message: Message): void {
    this.#told = parts;
    this.#toldAtMs = Date.now();
    this.#send(message);
  }

  #send(message: Message): void {
    this.#channel.sendMessage(FROM_APP, { ...message, version: PROTOCOL_VERSION, app: this.#app });
  }

  async #answer(request: string, command: PanelCommand): Promise<void> {
    try {
      await this.#execute(command);
      this.#send({ type: 'answer', request, error: null });
    } catch (error) {
      this.#send({ type: 'answer', request, error: asSynclineError(error).body });
    }
  }

  async #execute(command: PanelCommand): Promise<void> {
    const { queue } = this.#client;
    switch (command.type) {
      case 'holdOffline':
        await (command.offline ? this.#hold.hold() : this.#hold.release());
        break;
      case 'syncNow':
        await this.#client.syncNow();
        break;
      case 'retry':
        await queue.retry(command.job, command.work === undefined ? undefined : readWork(command.work));
        break;
      case 'edit':
        await queue.edit(command.job, readWork(command.work));
        break;
      case 'drop':
        await queue.drop(command.job);
        break;
      case 'resolve':
        await this.#client.resolveConflict(command.clientSeq, command.resolution);
        break;
      case 'acknowledge':
        await this.#client.acknowledge(command.clientSeq);
        break;
      case 'select':
        this.#selected.set(command.query ? [command.query] : []);
        break;
      case 'setLogLevel':
        this.#log.setLevel(command.level);
        break;
    }
  }
}
