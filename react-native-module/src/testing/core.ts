// One client: commands in, answers and events out, as the core's.
import type {
  AppState,
  ClientConfig,
  Command,
  Event,
  QueueStatus,
  Settings,
  TraceEvent,
  TraceKind,
} from '../contract.ts';
import { EMPTY_QUEUE } from '../idle.ts';
import type { ServerMessage } from './backend.ts';
import type { Context, Disk, Surroundings } from './context.ts';
import { Failure } from './errors.ts';
import type { Carriers } from './carriers.ts';
import { Goals } from './goals.ts';
import { Jobs } from './jobs.ts';
import { Link } from './link.ts';
import { Outbox } from './outbox.ts';
import { PresenceBook } from './presence.ts';
import { Replica } from './replica.ts';
import { ProgressMeter, queueStatus, statsOf } from './report.ts';
import type { FakeServer } from './server.ts';
import { Session } from './session.ts';
import { DEFAULTS } from './settings.ts';
import { AppSocket } from './socket.ts';
import { Tokens } from './tokens.ts';
import { Watches } from './watches.ts';

const MAIN = '/';

interface ConnectWaiter {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Failure) => void;
}

export class FakeCore {
  readonly disk: Disk;
  readonly settings: Settings;
  readonly #server: FakeServer;
  readonly #url: string;
  readonly #namespace: string;
  readonly #surroundings: Surroundings;
  readonly #openedAtMs: number;
  readonly #link: Link;
  readonly #session: Session;
  readonly #tokens: Tokens;
  readonly #replica: Replica;
  readonly #outbox: Outbox;
  readonly #jobs: Jobs;
  readonly #socket: AppSocket;
  readonly #presence: PresenceBook;
  readonly #goals: Goals;
  readonly #watches: Watches;
  readonly #trace: TraceEvent[] = [];
  /** What waits to be told: outcomes and conflicts, then jobs, then the rest. */
  #notices: Event[] = [];
  #lastQueue: QueueStatus = EMPTY_QUEUE;
  readonly #progress = new ProgressMeter();
  #connectWaiters: ConnectWaiter[] = [];
  #isClosed = false;
  #isTelling = false;
  #cancelAlarm: () => void = () => undefined;
  #reconnects = 0;

  constructor(config: ClientConfig, server: FakeServer, disk: Disk, surroundings: Surroundings) {
    this.disk = disk;
    this.settings = { ...DEFAULTS, ...config.settings };
    this.#server = server;
    this.#url = config.apiUrl ?? config.url;
    this.#namespace = config.namespace ?? MAIN;
    this.#surroundings = surroundings;
    this.#openedAtMs = server.clock.nowMs;
    const now = () => server.clock.nowMs;
    const token = config.token ?? null;
    this.#tokens = new Tokens(this.settings, token, now);
    this.#link = new Link(server, {
      clientId: disk.clientId,
      namespace: this.#namespace,
      isReachable: surroundings.isReachable,
      handleAccepted: (userId) => {
        this.#session.accept(userId);
      },
      handleRefused: (error) => {
        this.#session.fail(error, error.code === 'unreachable' ? 'connect_failed' : 'refused');
      },
      handleMessage: (message) => {
        this.#handleMessage(message);
      },
      turn: (work) => {
        this.turn(work);
      },
    });
    const hooks = {
      dial: () => {
        this.#note('connect', 'dialing');
        this.#link.dial(this.#session.token);
      },
      ended: (isGoodbye: boolean) => {
        this.#handleEnded(isGoodbye);
      },
      opened: () => {
        this.#handleOpened();
      },
    };
    this.#session = new Session(this.settings, token, surroundings.network, hooks, now);
    const context = this.#context();
    this.#replica = new Replica(context);
    this.#watches = new Watches(this.#replica);
    this.#outbox = new Outbox(context, this.#replica, config);
    this.#socket = new AppSocket(context, this.#namespace, (namespace, event, args, answered) => {
      this.#link.send(namespace, event, args, answered);
    });
    this.#presence = new PresenceBook(context);
    this.#jobs = new Jobs(context, this.#carriers());
    const [session, replica, outbox, jobs] = [this.#session, this.#replica, this.#outbox, this.#jobs];
    this.#goals = new Goals({ session, replica, outbox, jobs }, now);
    for (const { room } of disk.pending) this.#replica.follow(room);
    if (surroundings.app !== 'active') this.#setAppState(surroundings.app);
    this.turn(() => {
      if (config.autoConnect ?? true) this.#session.connect();
    });
  }

  #context(): Context {
    const nowMs = () => this.#server.clock.nowMs;
    const connection = () => (this.#session.isOpen ? this.#link.connection : null);
    return {
      settings: this.settings,
      disk: this.disk,
      backend: this.#server.backend,
      get nowMs() {
        return nowMs();
      },
      get connection() {
        return connection();
      },
      notice: (event) => this.#notices.push(event),
      trace: (kind, detail) => {
        this.#note(kind, detail);
      },
      touch: (room, collection, id) => {
        this.#watches.touch(room, collection, id);
      },
      ask: (question, answered) => {
        if (this.#session.isOpen) this.#link.ask(question, answered);
      },
      newId: () => this.#server.newId(),
    };
  }

  #carriers(): Carriers {
    const session = this.#session;
    const { settings } = this;
    return {
      get isConnected() {
        return session.isOpen;
      },
      get isConnecting() {
        return session.state === 'connecting';
      },
      get mayRequest() {
        const hasToken = session.token !== null || !settings.tokenRequired;
        return hasToken && !session.isAtRest && session.isNetworkAvailable;
      },
      emit: (name, args, answered) => {
        this.#link.send(this.#namespace, name, args, answered);
      },
      request: (work, key) => this.#link.request(this.#url, work, key, session.token),
      turn: (work) => {
        this.turn(work);
      },
    };
  }

  #note(kind: TraceKind, detail: string): void {
    this.#trace.push({ atMs: this.#server.clock.nowMs, kind, detail });
    if (this.#trace.length > this.settings.traceEventsMax) this.#trace.shift();
  }

  // What one turn is made of: some input, everything that may happen because of it, and the news of it.

  turn<T>(input: () => T): T {
    try {
      return input();
    } finally {
      this.#goOn();
    }
  }

  #goOn(): void {
    if (!this.#isClosed) {
      this.#socket.work();
      this.#presence.work();
      if (this.#session.isOpen) {
        this.#replica.work();
        this.#outbox.work();
      }
      this.#jobs.work();
      this.#askForToken();
    }
    this.#goals.work();
    this.#setAlarm();
    this.#tellSoon();
  }

  #setAlarm(): void {
    this.#cancelAlarm();
    const [session, tokens, jobs, goals] = [this.#session, this.#tokens, this.#jobs, this.#goals];
    const parts = [session, tokens, jobs, goals, this.#replica, this.#outbox, this.#socket, this.#presence];
    const atMs = this.#isClosed ? Infinity : Math.min(...parts.map(({ nextMs }) => nextMs));
    if (atMs === Infinity) return;
    this.#cancelAlarm = this.#server.clock.at(atMs, () => {
      this.turn(() => {
        this.#session.tick();
      });
    });
  }

  #askForToken(): void {
    const isUsed = this.#session.state === 'open' || this.#session.state === 'connecting';
    const bySession = this.#session.needsToken;
    const request = this.#tokens.poll(bySession || this.#jobs.needsToken, isUsed);
    if (request === null) return;
    const otherwise = new Failure('unauthorized', 'the token is about to expire, or was refused');
    const reason = (bySession ? this.#session.reason : null) ?? otherwise;
    this.#note('token_needed', reason.code);
    this.#notices.push({ type: 'tokenNeeded', reason: reason.body, request });
  }

  // The connection.

  /** The device lost its network. */
  dropConnection(): void {
    if (!this.#link.isUp) return;
    this.turn(() => {
      this.#session.fail(new Failure('offline', 'the system reports no network'), 'network_lost');
    });
  }

  #handleOpened(): void {
    this.#reconnects += 1;
    this.#tokens.accepted();
    this.#note('connected', `session ${this.#reconnects}`);
    for (const { resolve } of this.#connectWaiters.splice(0)) resolve({});
    this.#presence.handleOpened();
    this.#socket.handleOpened();
  }

  #handleEnded(isGoodbye: boolean): void {
    this.#note('disconnected', this.#session.state);
    this.#link.close(isGoodbye);
    this.#replica.handleLost();
    this.#outbox.handleLost();
    this.#jobs.handleLost();
    this.#socket.handleLost();
    this.#presence.handleLost(!['idle', 'closed'].includes(this.#session.state));
    // Another attempt at once is no end for who waits.
    if (this.#session.state === 'connecting' || this.#session.isOpen) return;
    const reason = this.#session.reason ?? new Failure('closed', 'disconnected by the app');
    for (const { reject } of this.#connectWaiters.splice(0)) reject(reason);
  }

  #handleMessage(message: ServerMessage): void {
    switch (message.type) {
      case 'changes':
        if (this.#replica.isFollowed(message.room))
          this.#replica.handleChanges(message.room, message.documents);
        this.#note('live', `${message.documents.length} changes`);
        break;
      case 'members':
        this.#presence.handleMembers(message.room, message.members);
        break;
      case 'user':
        this.#notices.push({ type: 'user', userId: message.userId, online: message.isOnline });
        break;
      case 'event': {
        const { namespace, event, args, answer } = message;
        const later = (back: readonly unknown[]) => {
          if (answer) this.#link.answer(answer, back);
        };
        this.#socket.handleEvent(namespace, event, args, answer && later);
        break;
      }
      case 'ended':
        this.#session.fail(message.error, message.cause);
    }
  }

  // What the app and the system ask for.

  /** Answers a command; throws or rejects with a `Failure`. */
  execute(command: Command): unknown {
    if (this.#isClosed) throw new Failure('closed', 'the client is closed');
    return this.turn(() => this.#execute(command));
  }

  #execute(command: Command): unknown {
    switch (command.type) {
      case 'connect':
        return this.#connect();
      case 'disconnect':
        this.#tokens.cancel();
        this.#session.disconnect();
        return {};
      case 'setToken':
        if (this.#session.token !== command.token) this.#jobs.handleToken(command.token !== null);
        this.#tokens.set(command.token, command.expiresAtMs ?? null);
        this.#note('token_set', command.token === null ? 'none' : 'set');
        this.#session.setToken(command.token);
        return {};
      case 'tokenFailed':
        this.#tokens.fail(command.request ?? null, command.retryable ?? true);
        return {};
      case 'setAppState':
        this.#setAppState(command.state);
        return {};
      case 'setNetwork':
        this.#note('network', `available: ${String(command.network.available)}`);
        if (command.network.available) this.#jobs.hurry();
        this.#session.setNetwork(command.network);
        return {};
      case 'subscribe':
        this.#replica.subscribe(command.room);
        return {};
      case 'unsubscribe':
        this.#replica.unsubscribe(command.room);
        return {};
      case 'write':
        return { clientSeqs: this.#outbox.write(command.writes) };
      case 'newId':
        return { id: this.#server.newId() };
      case 'document':
        return { row: this.#replica.row(command.room, command.collection, command.id) };
      case 'watch':
        return this.#watches.begin(command);
      case 'unwatch':
        this.#watches.end(command.watch);
        return {};
      case 'presenceJoin':
        this.#presence.join(command.room, command.state);
        return {};
      case 'presenceUpdate':
        this.#presence.update(command.room, command.state, command.expiresInMs);
        return {};
      case 'presenceLeave':
        this.#presence.leave(command.room);
        return {};
      case 'emit':
      case 'emitWithAck':
      case 'on':
      case 'off':
      case 'ack':
      case 'joinRoom':
      case 'leaveRoom':
      case 'connectNamespace':
      case 'disconnectNamespace':
        return this.#socket.execute(command);
      case 'connection':
        return this.#session.status;
      case 'queue':
        return queueStatus(this.#outbox, this.#jobs);
      case 'outcomes':
        return { outcomes: this.#outbox.outcomes };
      case 'acknowledgeOutcome':
        this.#outbox.acknowledge(command.clientSeq);
        return {};
      case 'conflicts':
        return { conflicts: this.#outbox.conflicts };
      case 'resolveConflict':
        this.#outbox.resolve(command.clientSeq, command.resolution);
        return {};
      case 'syncNow':
        this.#jobs.hurry();
        this.#session.syncNow();
        for (const room of this.#replica.followed) this.#replica.ask(room);
        return {};
      case 'pull': {
        const { room } = command;
        if (room !== undefined && !this.#replica.isFollowed(room)) {
          throw new Failure('not_found', `room ${room} is not subscribed`);
        }
        const rooms = room === undefined ? this.#replica.followed : [room];
        for (const one of rooms) this.#replica.ask(one);
        return this.#goals.waitFor({ rooms, through: null, isTask: false }, this.settings.syncTimeoutMs);
      }
      case 'flush':
        this.#jobs.hurry();
        return this.#goals.waitFor(
          { rooms: [], through: this.#through, isTask: false },
          this.settings.syncTimeoutMs,
        );
      case 'syncOnce': {
        this.#jobs.hurry();
        for (const room of this.#replica.followed) this.#replica.ask(room);
        this.#session.beginTask();
        return this.#goals.waitFor({ rooms: null, through: this.#through, isTask: true }, command.deadlineMs);
      }
      case 'jobs':
        return this.#jobs.execute(command.command);
      case 'stats':
        return this.#stats();
      case 'trace':
        return { events: [...this.#trace] };
      case 'close':
        this.close();
        return {};
    }
  }

  #connect(): unknown {
    this.#tokens.reset();
    this.#session.connect();
    if (this.#session.isOpen) return {};
    const { state, reason } = this.#session;
    if (state !== 'connecting') throw reason ?? new Failure('offline', 'there is no connection');
    return new Promise((resolve, reject) => this.#connectWaiters.push({ resolve, reject }));
  }

  #setAppState(state: AppState): void {
    this.#note('app_state', state);
    this.#session.setAppState(state);
    this.#presence.setAppState(state);
    if (state === 'active') this.#jobs.hurry();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#session.close();
    this.#socket.close();
    this.#cancelAlarm();
    this.#goals.close();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get #through(): { seq: number; job: number } {
    return { seq: this.disk.lastSeq, job: this.disk.lastJob };
  }

  // What the app is told.

  /** After whoever awaited the answer to a command has gone on; what happens until then is told with it. */
  #tellSoon(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#server.clock.turn(() => {
      this.#isTelling = false;
      const events = this.#takeEvents();
      if (events.length > 0 && !this.#isClosed) this.#surroundings.emit(events);
    });
  }

  #takeEvents(): Event[] {
    const notices = this.#notices.splice(0);
    const rank = ({ type }: Event) =>
      type === 'outcome' || type === 'conflict' ? 0 : type === 'job' ? 1 : 2;
    notices.sort((left, right) => rank(left) - rank(right));
    const isMessage = ({ type }: Event) =>
      type === 'message' || type === 'namespace' || type === 'joinRefused';
    const events = notices.filter((event) => !isMessage(event));
    if (this.#session.isChanged) {
      this.#session.isChanged = false;
      events.push({ type: 'connection', status: this.#session.status });
    }
    for (const status of this.#replica.takeChanged()) events.push({ type: 'room', status });
    events.push(...this.#watches.takeEvents());
    events.push(...this.#presence.takeEvents(), ...notices.filter(isMessage));
    const queue = queueStatus(this.#outbox, this.#jobs);
    if (JSON.stringify(queue) !== JSON.stringify(this.#lastQueue))
      events.push({ type: 'queue', status: queue });
    this.#lastQueue = queue;
    const progress = this.#progress.poll(this.#session, this.#replica, this.#outbox);
    if (progress) events.push({ type: 'progress', progress });
    return events;
  }

  #stats(): unknown {
    const { nowMs } = this.#server.clock;
    return statsOf({
      disk: this.disk,
      state: this.#session.state,
      outbox: this.#outbox,
      jobs: this.#jobs,
      uptimeMs: nowMs - this.#openedAtMs,
      nowMs,
      reconnects: this.#reconnects,
    });
  }
}
