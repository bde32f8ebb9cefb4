import type { Channel } from './channel.ts';
import type { Command } from './contract.ts';
import { asSynclineError, type SynclineError } from './error.ts';
import { once, type Unsubscribe } from './observable.ts';

/** What the core is asked as something begins and ends to be wanted, by its name. */
interface Commands {
  readonly begin: (name: string) => Command;
  readonly end: (name: string) => Command;
}

const ROOMS: Commands = {
  begin: (room) => ({ type: 'subscribe', room }),
  end: (room) => ({ type: 'unsubscribe', room }),
};

interface Room {
  readonly name: string;
  holders: number;
  /** The channel that was asked for this room. */
  channel: Channel | null;
  /** Keeps the room's commands in order. */
  lane: Promise<void>;
}

/** The rooms that are kept in sync whether or not something of them is watched, for as long as somebody asks. */
export class Subscriptions {
  /** Opens the client when it is not open. */
  readonly #channel: () => Promise<Channel>;
  readonly #report: (error: SynclineError) => void;
  readonly #commands: Commands;
  readonly #rooms = new Map<string, Room>();
  /** Counts closings: what was asked before one is void after it. */
  #era = 0;

  constructor(
    channel: () => Promise<Channel>,
    report: (error: SynclineError) => void,
    commands: Commands = ROOMS,
  ) {
    this.#commands = commands;
    this.#channel = channel;
    this.#report = report;
  }

  subscribe(name: string): Unsubscribe {
    const room = this.#rooms.get(name) ?? { name, holders: 0, channel: null, lane: Promise.resolve() };
    this.#rooms.set(name, room);
    room.holders += 1;
    this.#settle(room);
    return once(() => {
      room.holders -= 1;
      this.#settle(room);
    });
  }

  /** The client was opened: what is still wanted is asked for again. */
  attach(): void {
    for (const room of this.#rooms.values()) this.#settle(room);
  }

  /** The client is closing: its subscriptions end with it. */
  detach(): void {
    this.#era += 1;
    for (const room of this.#rooms.values()) room.channel = null;
  }

  /** Asks the core for what is wanted by the time the room's turn comes. */
  #settle(room: Room): void {
    room.lane = room.lane.then(async () => {
      const era = this.#era;
      try {
        if (room.holders > 0 && !room.channel) await this.#begin(room, era);
        else if (room.holders === 0 && room.channel) await this.#end(room, room.channel);
      } catch (error) {
        if (era === this.#era) this.#report(asSynclineError(error));
      }
      const isOver = room.holders === 0 && !room.channel;
      if (isOver && this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
    });
  }

  async #begin(room: Room, era: number): Promise<void> {
    const channel = await this.#channel();
    await channel.call(this.#commands.begin(room.name));
    if (era === this.#era) room.channel = channel;
  }

  async #end(room: Room, channel: Channel): Promise<void> {
    room.channel = null;
    await channel.call(this.#commands.end(room.name));
  }
}
