// Who is connected, in which rooms, and what they show of themselves there.
import type { PresenceStatus } from '../contract.ts';
import { change, NOTHING_SHOWN, type Shown } from './shown.ts';
import type { Fields } from './values.ts';

export interface Member {
  readonly clientId: string;
  readonly userId: string;
  readonly shown: Shown;
  readonly status: PresenceStatus;
  readonly activeAtMs: number;
}

/** A connection, or what is left of one that was lost. */
export interface Line {
  readonly userId: string;
  readonly clientId: string;
  readonly rooms: Set<string>;
  /** Users whom this one was told to be online. */
  readonly sees: Set<string>;
}

export interface RosterListener {
  /** The members of a room are others, or show something else. */
  onMembers(room: string): void;
  onUser(line: Line, userId: string, isOnline: boolean): void;
}

export class Roster {
  readonly #listener: RosterListener;
  readonly #lines = new Set<Line>();
  readonly #members = new Map<string, Map<string, Member>>();

  constructor(listener: RosterListener) {
    this.#listener = listener;
  }

  add(userId: string, clientId: string): Line {
    const line = { userId, clientId, rooms: new Set<string>(), sees: new Set<string>() };
    this.#lines.add(line);
    return line;
  }

  /** It is gone for good, with its members, unless another line of its client holds them. */
  end(line: Line): void {
    if (!this.#lines.delete(line)) return;
    for (const room of line.rooms) {
      if (!this.#isIn(room, line.clientId)) this.#removeMember(room, line.clientId);
    }
    this.#look();
  }

  /** The connection broke: what it showed stays for a while, as away. */
  lose(line: Line): void {
    for (const [room, members] of this.#members) {
      const member = members.get(line.clientId);
      if (!member || !line.rooms.has(room)) continue;
      members.set(line.clientId, { ...member, status: 'away' });
      this.#listener.onMembers(room);
    }
  }

  enter(line: Line, room: string): void {
    line.rooms.add(room);
    this.#look();
  }

  exit(line: Line, room: string): void {
    line.rooms.delete(room);
    this.#look();
  }

  join(line: Line, room: string, shown: Shown, status: PresenceStatus, nowMs: number): void {
    const members = this.#members.get(room) ?? new Map<string, Member>();
    this.#members.set(room, members);
    const { clientId, userId } = line;
    members.set(clientId, { clientId, userId, shown, status, activeAtMs: nowMs });
    this.enter(line, room);
    this.#listener.onMembers(room);
  }

  update(line: Line, room: string, changes: Fields, nowMs: number, expiresInMs?: number): void {
    const member = this.#members.get(room)?.get(line.clientId);
    const shown = change(member?.shown ?? NOTHING_SHOWN, changes, nowMs, expiresInMs);
    this.join(line, room, shown, member?.status ?? 'active', nowMs);
  }

  leave(line: Line, room: string): void {
    this.#removeMember(room, line.clientId);
  }

  members(room: string): readonly Member[] {
    const members = [...(this.#members.get(room)?.values() ?? [])];
    return members.sort((left, right) => (left.clientId < right.clientId ? -1 : 1));
  }

  #isIn(room: string, clientId: string): boolean {
    return [...this.#lines].some((line) => line.clientId === clientId && line.rooms.has(room));
  }

  #removeMember(room: string, clientId: string): void {
    if (this.#members.get(room)?.delete(clientId)) this.#listener.onMembers(room);
  }

  /** Tells each line whom it sees now, and whom no more: users that it shares a room with. */
  #look(): void {
    for (const line of this.#lines) {
      const others = [...this.#lines].filter(
        (other) => other.userId !== line.userId && [...other.rooms].some((room) => line.rooms.has(room)),
      );
      const seen = new Set(others.map(({ userId }) => userId));
      for (const userId of seen) if (!line.sees.has(userId)) this.#listener.onUser(line, userId, true);
      for (const userId of line.sees) if (!seen.has(userId)) this.#listener.onUser(line, userId, false);
      line.sees.clear();
      for (const userId of seen) line.sees.add(userId);
    }
  }
}
