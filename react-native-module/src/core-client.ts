import { Channel, type Results, type SyncReport } from './channel.ts';
import { ClientState } from './client-state.ts';
import type {
  BackgroundOptions,
  Command,
  ConnectionStatus,
  Event,
  ParkedWrite,
  RejectedWrite,
  Resolution,
  Progress,
  QueueStatus,
  Stats,
  TraceEvent,
  WriteRequest,
  Write,
} from './contract.ts';
import { asSynclineError, closed, type SynclineError } from './error.ts';
import { complain, guarded } from './guard.ts';
import type { Host } from './host.ts';
import { IDLE_CONNECTION } from './idle.ts';
import { toFields } from './json.ts';
import type { Observable, Unsubscribe } from './observable.ts';
import { type Changes, type Document, type Fields, increment, type NumberPath, toOps } from './ops.ts';
import {
  type Auth,
  authKind,
  checkOptions,
  type CheckedOptions,
  fetches,
  fixedToken,
  type OpenOptions,
  type SyncOptions,
} from './options.ts';
import { toCoreSelection } from './queries.ts';
import {
  checkCollectionRef,
  checkDocumentRef,
  checkText,
  type CollectionRef,
  type DocumentRef,
  type WatchRef,
} from './refs.ts';
import { shallowEqual } from './share.ts';
import { Subscriptions } from './subscriptions.ts';
import { TokenSource } from './tokens.ts';
import { admissionTo, validDocument } from './validation.ts';
import { type CollectionSnapshot, type CoreQuery, Watches } from './watches.ts';
import { WriteQueue } from './writes.ts';

/** Commands that ask for something that lasts. */
const LASTING: readonly Command['type'][] = ['watch', 'subscribe', 'presenceJoin', 'presenceUpdate'];

type EventOf<Type extends Event['type']> = Extract<Event, { type: Type }>;

/**
 * A client of the sync core, for documents: what every app needs, and what the rest of a client stands upon. It opens by itself at its first use; after `close`, only `open` opens it again.
 * Every method that returns a promise rejects with a `SynclineError`.
 */
export class CoreClient {
  readonly name: string;
  readonly #options: CheckedOptions;
  readonly #host: () => Host;
  /** Ends another client's hold on the same files. */
  readonly #before: () => Promise<void>;
  /** The last `close`. */
  #ended: Promise<void> = Promise.resolve();
  #channel: Promise<Channel> | null = null;
  /** The open channel that knows what is watched and announced. */
  #attached: Channel | null = null;
  #closed = false;
  #auth: Auth | null;
  #background: BackgroundOptions | null;
  #token: string | null;

  readonly #state = new ClientState((error) => {
    this.report(error);
  });
  readonly #watches: Watches;
  readonly #subscriptions = new Subscriptions(
    () => this.#open(),
    (error) => {
      this.report(error);
    },
  );
  readonly #writes = new WriteQueue(
    async (writes) => (await this.#call({ type: 'write', writes })).clientSeqs,
    () => this.newId(),
  );
  readonly #tokens = new TokenSource(
    () => (fetches(this.#auth) ? this.#auth.getToken() : null),
    (token) => (this.#closed ? Promise.reject(closed()) : this.setToken(token)),
    (error) => {
      this.report(error);
    },
    ({ code, message, retryable: mayPass }) => {
      // Only who has no token is signed out; one that cannot be sent, as a captive portal's page, says nothing of the next.
      const retryable = code !== 'no_auth_token' || mayPass;
      // Whoever closed the client meanwhile needs no token.
      this.#attached?.call({ type: 'tokenFailed', message, retryable }).catch(() => undefined);
    },
  );
  readonly #listeners = new Map<Event['type'], Set<(event: Event) => void>>();

  constructor(options: SyncOptions, host: () => Host, before: () => Promise<void> = () => Promise.resolve()) {
    this.#options = checkOptions(options);
    this.#host = host;
    this.#before = before;
    this.name = this.#options.name;
    const { validate } = this.#options;
    this.#watches = new Watches(() => this.#open(), admissionTo(validate, this.report), this.report);
    this.#auth = this.#options.auth;
    this.#background = this.#options.config.background ?? null;
    this.#token = fixedToken(this.#auth);
  }

  get connection(): Observable<ConnectionStatus> {
    return this.#state.connection;
  }

  /** What waits to be sent: writes and jobs. */
  get queueStatus(): Observable<QueueStatus> {
    return this.#state.queue;
  }

  get progress(): Observable<Progress> {
    return this.#state.progress;
  }

  /** Writes that the server has rejected and the app has not acknowledged. */
  get outcomes(): Observable<readonly RejectedWrite[]> {
    return this.#state.outcomes.observable;
  }

  /** Writes in conflict that wait for `resolveConflict`. */
  get conflicts(): Observable<readonly ParkedWrite[]> {
    return this.#state.conflicts.observable;
  }

  /** The queries that are watched now, each once. */
  get queries(): Observable<readonly CoreQuery[]> {
    return this.#watches.queries;
  }

  /** How many watches this client holds in the core. */
  get watchCount(): number {
    return this.#watches.size;
  }

  /** Opens the files, and connects unless `autoConnect` is false. Not needed before other calls. */
  async open(): Promise<void> {
    this.#closed = false;
    await this.#open();
  }

  /** Closes the connection and the files. What was written stays on disk. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#tokens.stop();
    // A fetched token is somebody's who may not be the one who opens the client again.
    if (authKind(this.#auth) !== 'token') this.#token = null;
    const opened = this.#channel;
    this.#channel = null;
    if (opened) {
      this.detach();
      this.#ended = opened.then((channel) => channel.close()).catch(() => undefined);
      this.#state.connection.set({ ...IDLE_CONNECTION, state: 'closed' });
    }
    await this.#ended;
  }

  /** Resolves when connected; rejects with what hindered the first attempt. If that may pass, attempts go on. */
  async connect(): Promise<void> {
    if (this.#token === null && fetches(this.#auth)) await this.#tokens.refresh();
    await this.#call({ type: 'connect' });
  }

  /** Closes the connection until `connect`. Writes are still accepted. */
  async disconnect(): Promise<void> {
    await this.#call({ type: 'disconnect' });
  }

  /**
   * Replaces the token; null signs out. `expiresAtMs` tells when it ends, for a token that does not say so itself as a
   * JSON Web Token does: another is asked for ahead of that.
   */
  async setToken(
    token: string | null,
    { expiresAtMs }: { readonly expiresAtMs?: number } = {},
  ): Promise<void> {
    const previous = this.#token;
    this.#token = token;
    try {
      await this.#call({ type: 'setToken', token, ...(expiresAtMs !== undefined && { expiresAtMs }) });
    } catch (error) {
      // A token that was refused must not be in the way of the next opening.
      if (asSynclineError(error).code === 'invalid' && this.#token === token) this.#token = previous;
      throw error;
    }
  }

  /**
   * Replaces where tokens come from; null signs out. What is new holds at once, but a function in place of another is
   * no news: it is asked for the next token.
   */
  setAuth(auth: Auth | null): void {
    const previous = this.#auth;
    this.#auth = auth;
    const token = fixedToken(auth);
    if (authKind(previous) === authKind(auth) && fixedToken(previous) === token) return;
    this.#tokens.stop();
    this.#token = token;
    if (!this.#channel) return;
    this.setToken(token)
      .then(() => {
        // The core has asked already, when there was nobody to ask.
        if (fetches(auth) && this.#state.connection.get().state === 'unauthorized') this.#tokens.request();
      })
      .catch((error: unknown) => {
        this.report(asSynclineError(error));
      });
  }

  /** Connects without delay if need be, fetches what is new and sends what waits. */
  async syncNow(): Promise<void> {
    await this.#call({ type: 'syncNow' });
  }

  /** Fetches what is new in one room, or in all that are in sync. Rejects when there is no connection. */
  async pull(room?: string): Promise<void> {
    await this.#call({ type: 'pull', ...(room !== undefined && { room: checkText(room, 'room') }) });
  }

  /** Sends what waits to be sent. Resolves when the server has answered every write made before. */
  async flush(): Promise<void> {
    await this.#writes.settled();
    await this.#call({ type: 'flush' });
  }

  /**
   * For a background task: connects if need be, fetches what is new and sends what waits. Resolves at the latest after
   * `deadlineMs`; then the connection is again what the app's state wants.
   */
  async syncOnce({ deadlineMs }: { readonly deadlineMs: number }): Promise<SyncReport> {
    await this.#writes.settled();
    return this.#call({ type: 'syncOnce', deadlineMs });
  }

  /** How it is synchronized while the app does not run; null: not at all. */
  get background(): BackgroundOptions | null {
    return this.#background;
  }

  /** Whether the system may wake the app up for that; false where nothing can, as in Node. */
  get isBackgroundPermitted(): boolean {
    return this.#host().isBackgroundPermitted?.() ?? false;
  }

  /**
   * Changes that. The device learns of it with an opening, so a client that is open is closed and opened again; what is
   * watched goes on. One that was closed is closed again.
   */
  async setBackground(options: BackgroundOptions | null): Promise<void> {
    const wasClosed = this.#closed;
    if (!shallowEqual(options, this.#background)) {
      this.#background = options;
      if (this.#channel) await this.close();
    }
    await this.open();
    if (wasClosed) await this.close();
  }

  stats(): Promise<Stats> {
    return this.#call({ type: 'stats' });
  }

  /** The last events of the synchronization, oldest first. They name no room, document or user. */
  async trace(): Promise<TraceEvent[]> {
    return (await this.#call({ type: 'trace' })).events;
  }

  /** A fresh document id, a UUIDv7. */
  async newId(): Promise<string> {
    return (await this.#call({ type: 'newId' })).id;
  }

  /** Writes to several documents, all or none. Resolves when they are on disk, connected or not. */
  async write(writes: readonly WriteRequest[]): Promise<number[]> {
    return (await this.#writes.push([...writes])).clientSeqs;
  }

  /** Creates a document, with a fresh id unless one is given. Resolves to its id. */
  async insert<T extends object = Fields>(
    ref: CollectionRef & { readonly id?: string },
    fields: T,
  ): Promise<string> {
    const { room, collection } = checkCollectionRef(ref);
    const create = toFields(fields, 'the document');
    // In the queue at once, with or without an id: what is written next comes after it.
    const id = ref.id === undefined ? null : checkText(ref.id, 'id');
    const { ids } = await this.#writes.push([{ room, collection, id, write: { create } }]);
    // One write, one id.
    return String(ids[0]);
  }

  /** Changes fields of a document: dotted paths to values or operations such as `increment(1)`. */
  async update<T extends object = Fields>(ref: DocumentRef, changes: Changes<T>): Promise<void> {
    await this.#writeOne(checkDocumentRef(ref), { update: toOps(changes) });
  }

  /** Adds `by` to a number. */
  async increment<T extends object = Fields>(ref: DocumentRef, path: NumberPath<T>, by = 1): Promise<void> {
    await this.#writeOne(checkDocumentRef(ref), { update: toOps({ [path]: increment(by) }) });
  }

  /** Deletes a document. */
  async remove(ref: DocumentRef): Promise<void> {
    await this.#writeOne(checkDocumentRef(ref), 'delete');
  }

  /** Reads a document as this client sees it, pending changes included; null when there is none. Rejects when it is not valid. */
  async document<T extends object = Fields>(ref: DocumentRef): Promise<Document<T> | null> {
    const { row } = await this.#call({ type: 'document', ...checkDocumentRef(ref) });
    if (!row) return null;
    const validator = this.#options.validate.collections?.[ref.collection];
    const fields = validator ? validDocument(validator, ref.collection, row.id, row.fields) : row.fields;
    return { ...fields, id: row.id } as unknown as Document<T>;
  }

  /** The documents of a collection, those selected, or one of them, live while there is a subscriber. */
  watch<T extends object = Fields>(ref: WatchRef<NoInfer<T>>): Observable<CollectionSnapshot<T>> {
    const checked = ref.id === undefined ? checkCollectionRef(ref) : checkDocumentRef({ ...ref, id: ref.id });
    const query = { ...checked, ...toCoreSelection(ref) };
    return this.#watches.observe(query) as Observable<CollectionSnapshot<T>>;
  }

  /**
   * Keeps a room in sync, also while nothing of it is watched, until the returned function is called. It holds across
   * `close` and `open`.
   */
  subscribe(room: string): Unsubscribe {
    return this.#subscriptions.subscribe(checkText(room, 'room'));
  }

  /** The app has seen the outcome of this write: it is forgotten. */
  async acknowledge(clientSeq: number): Promise<void> {
    await this.#call({ type: 'acknowledgeOutcome', clientSeq });
    this.#state.outcomes.handleDone(clientSeq);
  }

  /** Decides about a write in conflict. Resolves when the decision is on disk; what is to be sent of it is then sent. */
  async resolveConflict(clientSeq: number, resolution: Resolution): Promise<void> {
    const checked =
      typeof resolution === 'string'
        ? resolution
        : { merged: toFields(resolution.merged, 'the merged document') };
    await this.#call({ type: 'resolveConflict', clientSeq, resolution: checked });
    this.#state.conflicts.handleDone(clientSeq);
  }

  /** Listens to one kind of the core's events. */
  on<Type extends Event['type']>(type: Type, listener: (event: EventOf<Type>) => void): Unsubscribe {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    const entry = (event: Event) => {
      listener(event as EventOf<Type>);
    };
    listeners.add(entry);
    return () => listeners.delete(entry);
  }

  async #writeOne(ref: DocumentRef, write: Write): Promise<void> {
    await this.#writes.push([{ ...ref, write }]);
  }

  async #call<C extends Command>(command: C): Promise<Results[C['type']]> {
    return (await this.#open()).call(command);
  }

  /** The open channel; opens the client if need be. */
  protected readonly channel = (): Promise<Channel> => this.#open();

  #open(): Promise<Channel> {
    if (this.#closed) return Promise.reject(closed());
    if (!this.#channel) {
      const opening = this.#start();
      this.#channel = opening;
      opening.then(
        (channel) => {
          if (this.#channel === opening) this.attach(channel);
        },
        (error: unknown) => {
          if (this.#channel === opening) this.#channel = null;
          this.#state.connection.set({
            ...IDLE_CONNECTION,
            state: 'closed',
            reason: asSynclineError(error).body,
          });
        },
      );
    }
    return this.#channel;
  }

  async #start(): Promise<Channel> {
    await Promise.all([this.#before(), this.#ended]);
    const host = this.#host();
    this.#state.awaitLists();
    return Channel.open(host, this.#config(host), {
      onEvents: (events) => {
        this.#handle(events);
      },
      onClosed: (channel, command) => {
        this.#handleClosed(channel, command);
      },
    });
  }

  /** Somebody else closed it: another client that opened the same files takes them over. The next use takes them back. */
  #handleClosed(channel: Channel, command: Command): void {
    if (this.#attached !== channel) return;
    this.#channel = null;
    this.detach();
    this.#state.connection.set({ ...IDLE_CONNECTION, state: 'closed', reason: closed().body });
    // What is to last is repeated by opening.
    if (LASTING.includes(command.type)) this.#open().catch(() => undefined);
  }

  protected detach(): void {
    this.#attached = null;
    this.#state.detach();
    this.#watches.detach();
    this.#subscriptions.detach();
  }

  #config(host: Host): OpenOptions {
    const { name } = this.#options;
    const config = { ...this.#options.config };
    delete config.background;
    const directory = config.directory ?? (config.store === 'memory' ? null : host.defaultDirectory(name));
    return {
      ...config,
      ...(this.#background && { background: this.#background }),
      ...(directory !== null && { directory }),
      ...(this.#token !== null && { token: this.#token }),
    };
  }

  protected attach(channel: Channel): void {
    this.#attached = channel;
    this.#watches.attach();
    this.#subscriptions.attach();
    this.#state.attach(channel);
  }

  #handle(events: Event[]): void {
    for (const event of events) {
      guarded(() => {
        this.apply(event);
      }, this.report);
      this.#tell(event);
    }
    this.#watches.publish();
  }

  #tell(event: Event): void {
    // One that listens to errors and fails would hear of itself.
    const report = event.type === 'error' ? complain : this.report;
    for (const listener of this.#listeners.get(event.type) ?? []) {
      guarded(() => {
        listener(event);
      }, report);
    }
  }

  protected apply(event: Event): void {
    switch (event.type) {
      case 'room':
        this.#watches.handleRoom(event.status);
        break;
      case 'rows':
        this.#watches.handleRows(event);
        break;
      case 'tokenNeeded':
        if (fetches(this.#auth)) this.#tokens.request();
        break;
      default:
        this.#state.handleEvent(event);
    }
  }

  /** What went wrong outside of any call goes to those who listen to errors. */
  protected readonly report = (error: SynclineError): void => {
    this.#tell({ type: 'error', error: error.body });
  };
}
