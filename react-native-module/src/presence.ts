import type { Channel } from './channel.ts';
import type { Command, ErrorBody, Event, PresentMember, PresentUser } from './contract.ts';
import { asSynclineError, SynclineError } from './error.ts';
import { complain, type Report } from './guard.ts';
import { type Observable, once, Store, type Unsubscribe } from './observable.ts';
import { toFields } from './json.ts';
import { OnlineUsers } from './online-users.ts';
import type { Fields } from './ops.ts';
import { checkText } from './refs.ts';
import { share } from './share.ts';

/** How long a presence outlives its last holder: a remount within this time is not seen by others. */
const LINGER_MS = 50;

/** Who is in a room. */
export interface PresenceSnapshot {
  /** Everybody there, once each: a user with several devices is as active as the best of them. */
  readonly users: readonly PresentUser[];
  /** Each device there. */
  readonly members: readonly PresentMember[];
  /** This client among the members, once the server has let it in. */
  readonly me: PresentMember | null;
  readonly error: SynclineError | null;
}

type PresenceEvent = Extract<Event, { type: 'presence' | 'user' }>;

export const NOBODY: PresenceSnapshot = { users: [], members: [], me: null, error: null };

interface Room {
  readonly name: string;
  readonly store: Store<PresenceSnapshot>;
  /** Those who hold the presence, and the state each announces, if any; the last to announce is heard. */
  readonly holders: Map<symbol, Fields | null>;
  linger: ReturnType<typeof setTimeout> | null;
  /** What the core was told, or is about to be. */
  announced: Fields | null;
  /** Why the last command failed. */
  failure: SynclineError | null;
  /** Why the server does not let this client in. */
  refusal: SynclineError | null;
  listeners: number;
  /** Keeps the room's commands in order. */
  lane: Promise<void>;
  /** How many commands are in the lane. */
  commands: number;
}

/** This client's presence in rooms, shared by all who hold it. */
export class Presences {
  readonly #channel: () => Promise<Channel>;
  /** Those that somebody holds or watches, or that are not done with. */
  readonly #rooms = new Map<string, Room>();
  readonly #online: OnlineUsers;
  readonly #held: Store<readonly string[]>;
  readonly #report: Report;
  /** Counts closings: what was to be told before one is void after it. */
  #era = 0;

  constructor(channel: () => Promise<Channel>, report: Report = complain) {
    this.#channel = channel;
    this.#report = report;
    this.#online = new OnlineUsers(report);
    this.#held = new Store<readonly string[]>([], report);
  }

  /** The rooms that this client is in, or on its way into. */
  get held(): Observable<readonly string[]> {
    return this.#held;
  }

  observe(room: string): Observable<PresenceSnapshot> {
    return {
      get: () => this.#rooms.get(room)?.store.get() ?? NOBODY,
      subscribe: (listener) => this.#subscribe(this.#room(room), listener),
    };
  }

  /** Enters the room for `holder`, or changes what it announces; with null, it adds nothing to what others show. */
  announce(room: string, holder: symbol, state: Fields | null): void {
    const entry = this.#room(room);
    if (entry.linger) clearTimeout(entry.linger);
    entry.linger = null;
    // Last in the order of the map is last heard.
    entry.holders.delete(holder);
    entry.holders.set(holder, state);
    this.#tellHeld();
    this.#tell(entry);
  }

  /**
   * Changes some fields of what this client shows, beside what its holders announce; a null removes one. With a time, they
   * vanish after it by themselves.
   */
  async update(room: string, fields: object, expiresInMs?: number): Promise<void> {
    const entry = this.#rooms.get(checkText(room, 'room'));
    const state = toFields(fields, 'the presence state');
    if (!entry?.announced) {
      throw new SynclineError({ code: 'not_found', message: `${room} is not entered`, retry: 'never' });
    }
    const time = expiresInMs === undefined ? {} : { expiresInMs };
    const error = await this.#send(entry, { type: 'presenceUpdate', room, state, ...time });
    if (error) throw error;
  }

  /** Ends the holder's part; the client leaves the room after its last holder. */
  withdraw(room: string, holder: symbol): void {
    const entry = this.#rooms.get(room);
    if (!entry?.holders.delete(holder)) return;
    if (entry.holders.size > 0) {
      this.#tell(entry);
      return;
    }
    entry.linger = setTimeout(() => {
      entry.linger = null;
      if (entry.announced) void this.#send(entry, { type: 'presenceLeave', room });
      this.#reset(entry);
      this.#tellHeld();
      this.#tidy(entry);
    }, LINGER_MS);
  }

  /** The client was opened: what is held and not announced yet is announced. */
  attach(): void {
    for (const entry of this.#rooms.values()) this.#tell(entry);
  }

  /** The client is closing, and leaves its rooms by that. */
  detach(): void {
    this.#era += 1;
    this.#online.reset();
    for (const entry of this.#rooms.values()) this.#reset(entry);
  }

  /** Whether a user shares a room with this client; `null` until the server tells. */
  userOnline(userId: string): Observable<boolean | null> {
    return this.#online.observe(checkText(userId, 'user id'));
  }

  handleEvent(event: PresenceEvent): void {
    if (event.type === 'user') {
      this.#online.handleUser(event.userId, event.online);
      return;
    }
    const { room, members, users, error } = event;
    const entry = this.#rooms.get(room);
    // One that this client has left meanwhile is nobody's any more.
    if (!entry?.announced) return;
    entry.refusal = error ? sameError(entry.refusal, error) : null;
    this.#show(entry, members, users);
  }

  #subscribe(entry: Room, listener: () => void): Unsubscribe {
    entry.listeners += 1;
    const unsubscribe = entry.store.subscribe(listener);
    return once(() => {
      unsubscribe();
      entry.listeners -= 1;
      this.#tidy(entry);
    });
  }

  #room(name: string): Room {
    let entry = this.#rooms.get(name);
    if (!entry) {
      const store = new Store(NOBODY, this.#report);
      entry = {
        name,
        store,
        holders: new Map(),
        linger: null,
        announced: null,
        failure: null,
        refusal: null,
        listeners: 0,
        lane: Promise.resolve(),
        commands: 0,
      };
      this.#rooms.set(name, entry);
    }
    return entry;
  }

  #tellHeld(): void {
    const held = [...this.#rooms.values()].filter(({ holders, linger }) => holders.size > 0 || linger);
    this.#held.set(
      share(
        this.#held.get(),
        held.map(({ name }) => name),
      ),
    );
  }

  #tell(entry: Room): void {
    if (entry.holders.size === 0) return;
    const state = [...entry.holders.values()].filter((announced) => announced !== null).at(-1) ?? {};
    if (share(entry.announced, state) === entry.announced) return;
    const command: Command = entry.announced
      ? { type: 'presenceUpdate', room: entry.name, state: changes(entry.announced, state) }
      : { type: 'presenceJoin', room: entry.name, state };
    entry.announced = state;
    void this.#send(entry, command);
  }

  /** Resolves with the error, if the command failed. */
  #send(entry: Room, command: Command): Promise<SynclineError | null> {
    const era = this.#era;
    entry.commands += 1;
    const sent = entry.lane.then(async () => {
      let failure: SynclineError | null = null;
      try {
        if (era === this.#era) await (await this.#channel()).call(command);
        if (era === this.#era) entry.failure = null;
      } catch (error) {
        failure = asSynclineError(error);
        if (era === this.#era) this.#handleFailure(entry, command, failure);
      }
      entry.commands -= 1;
      if (entry.announced || entry.failure) this.#show(entry);
      this.#tidy(entry);
      return failure;
    });
    entry.lane = sent.then(() => undefined);
    return sent;
  }

  #handleFailure(entry: Room, command: Command, error: SynclineError): void {
    // What was not entered cannot be updated: the next state enters anew.
    if (command.type === 'presenceJoin') entry.announced = null;
    if (command.type !== 'presenceLeave') entry.failure = error;
  }

  #show(
    entry: Room,
    members: readonly PresentMember[] = entry.store.get().members,
    users: readonly PresentUser[] = entry.store.get().users,
  ): void {
    const shown = entry.store.get();
    const next = { members: share(shown.members, members), users: share(shown.users, users) };
    const error = entry.failure ?? entry.refusal;
    if (next.members === shown.members && next.users === shown.users && error === shown.error) return;
    entry.store.set({ ...next, me: next.members.find((member) => member.me) ?? null, error });
  }

  /** This client is not in the room any more. */
  #reset(entry: Room): void {
    entry.announced = null;
    entry.failure = null;
    entry.refusal = null;
    entry.store.set(NOBODY);
  }

  #tidy(entry: Room): void {
    const isUsed = entry.holders.size > 0 || entry.linger !== null || entry.listeners > 0;
    if (!isUsed && entry.commands === 0) this.#rooms.delete(entry.name);
  }
}

/** What turns one state into another: the new values, and null for what is gone. */
function changes(from: Fields, to: Fields): Fields {
  const gone = Object.keys(from).filter((name) => !Object.hasOwn(to, name));
  const changed = Object.entries(to).filter(([name, value]) => share(from[name], value) !== from[name]);
  return Object.fromEntries([...gone.map((name) => [name, null] as const), ...changed]);
}

/** The error shown already when it says the same, so that nothing renders for it. */
function sameError(shown: SynclineError | null, body: ErrorBody): SynclineError {
  return shown?.code === body.code && shown.message === body.message ? shown : new SynclineError(body);
}
