import type { Channel } from './channel.ts';
import type { Command, PresentMember } from './contract.ts';
import { asSynclineError, SynclineError } from './error.ts';
import { type Observable, Store } from './observable.ts';
import type { Fields } from './ops.ts';
import { share } from './share.ts';

/** How long a presence outlives its last holder: a remount within this time is not seen by others. */
const LINGER_MS = 50;

/** Who is in a room. */
export interface PresenceSnapshot {
  readonly members: readonly PresentMember[];
  /** This client among the members, once the server has let it in. */
  readonly me: PresentMember | null;
  readonly error: SynclineError | null;
}

export const NOBODY: PresenceSnapshot = { members: [], me: null, error: null };

interface Room {
  readonly name: string;
  readonly store: Store<PresenceSnapshot>;
  /** Those who hold the presence, and the state each announces; the last to announce is heard. */
  readonly holders: Map<symbol, Fields>;
  linger: ReturnType<typeof setTimeout> | null;
  /** What the core was told, or is about to be. */
  announced: Fields | null;
  /** Keeps the room's commands in order. */
  lane: Promise<void>;
}

/** This client's presence in rooms, shared by all who hold it. */
export class Presences {
  readonly #channel: () => Promise<Channel>;
  readonly #rooms = new Map<string, Room>();

  constructor(channel: () => Promise<Channel>) {
    this.#channel = channel;
  }

  observe(room: string): Observable<PresenceSnapshot> {
    return {
      get: () => this.#rooms.get(room)?.store.get() ?? NOBODY,
      subscribe: (listener) => this.#room(room).store.subscribe(listener),
    };
  }

  /** Enters the room for `holder`, or changes what it announces. */
  announce(room: string, holder: symbol, state: Fields): void {
    const entry = this.#room(room);
    if (entry.linger) clearTimeout(entry.linger);
    entry.linger = null;
    // Last in the order of the map is last heard.
    entry.holders.delete(holder);
    entry.holders.set(holder, state);
    this.#tell(entry);
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
      this.#rooms.delete(room);
      if (entry.announced) this.#send(entry, { type: 'presenceLeave', room });
    }, LINGER_MS);
  }

  /** The client was opened: what is held and not announced yet is announced. */
  attach(): void {
    for (const entry of this.#rooms.values()) this.#tell(entry);
  }

  /** The client is closing, and leaves its rooms by that. */
  detach(): void {
    for (const entry of this.#rooms.values()) {
      entry.announced = null;
      entry.store.set(NOBODY);
    }
  }

  handleMembers(room: string, members: PresentMember[]): void {
    const entry = this.#rooms.get(room);
    if (!entry) return;
    const shared = share(entry.store.get().members, members);
    const me = shared.find((member) => member.me) ?? null;
    if (shared !== entry.store.get().members) entry.store.set({ members: shared, me, error: null });
  }

  #room(name: string): Room {
    let entry = this.#rooms.get(name);
    if (!entry) {
      const store = new Store(NOBODY);
      entry = { name, store, holders: new Map(), linger: null, announced: null, lane: Promise.resolve() };
      this.#rooms.set(name, entry);
    }
    return entry;
  }

  #tell(entry: Room): void {
    const state = [...entry.holders.values()].at(-1);
    if (!state || share(entry.announced, state) === entry.announced) return;
    const type = entry.announced ? 'presenceUpdate' : 'presenceJoin';
    entry.announced = state;
    this.#send(entry, { type, room: entry.name, state });
  }

  #send(entry: Room, command: Command): void {
    entry.lane = entry.lane.then(async () => {
      try {
        await (await this.#channel()).call(command);
        this.#show(entry, null);
      } catch (error) {
        // What was not entered cannot be updated: the next state enters anew.
        if (command.type === 'presenceJoin') entry.announced = null;
        this.#show(entry, asSynclineError(error));
      }
    });
  }

  #show(entry: Room, error: SynclineError | null): void {
    const shown = entry.store.get();
    if (shown.error !== error) entry.store.set({ ...shown, error });
  }
}
