// Who is in a room: what this client announced, and what the server said of the others.
import type { AppState, Event, PresenceStatus, PresentMember, PresentUser } from '../contract.ts';
import type { Context } from './context.ts';
import { Failure } from './errors.ts';
import type { Member } from './roster.ts';
import { change, expire, nextExpiryMs, NOTHING_SHOWN, type Shown } from './shown.ts';
import { copy, type Fields } from './values.ts';

interface Announced {
  shown: Shown;
  /** When the server is to be told; Infinity when it knows. */
  sendAtMs: number;
  /** Not before this. */
  throttledUntilMs: number;
  activeAtMs: number;
}

interface Refused {
  readonly error: Failure;
  readonly retryAtMs: number;
}

/** How long the server keeps somebody who is not heard of. */
const LEASE_MS = 70_000;

export class PresenceBook {
  readonly #context: Context;
  readonly #announced = new Map<string, Announced>();
  readonly #members = new Map<string, readonly Member[]>();
  /** Rooms whose members are as a connection that is gone knew them, and until when they are shown. */
  readonly #stale = new Map<string, number>();
  readonly #refused = new Map<string, Refused>();
  readonly #changed = new Set<string>();
  #status: PresenceStatus = 'active';

  constructor(context: Context) {
    this.#context = context;
  }

  join(room: string, state: Fields): void {
    const shown = change(NOTHING_SHOWN, state, this.#context.nowMs);
    this.#announced.set(room, { shown, sendAtMs: 0, throttledUntilMs: 0, activeAtMs: 0 });
    this.#refused.delete(room);
    this.#noteChange(room);
  }

  update(room: string, changes: Fields, expiresInMs?: number): void {
    const announced = this.#announced.get(room);
    if (!announced) throw new Failure('not_found', 'presence was not joined in the room');
    announced.shown = change(announced.shown, changes, this.#context.nowMs, expiresInMs);
    announced.sendAtMs = Math.min(announced.sendAtMs, announced.throttledUntilMs);
    this.#noteChange(room);
  }

  leave(room: string): void {
    this.#members.delete(room);
    this.#stale.delete(room);
    this.#refused.delete(room);
    if (!this.#announced.delete(room)) return;
    const { backend } = this.#context;
    this.#context.ask(
      (connection) => {
        backend.leave(connection, room);
        return true;
      },
      () => undefined,
    );
  }

  #noteChange(room: string): void {
    if (this.#members.has(room)) this.#changed.add(room);
  }

  setAppState(state: AppState): void {
    const status = state === 'background' ? 'away' : 'active';
    if (status === this.#status) return;
    this.#status = status;
    this.#announceAll();
    for (const room of this.#members.keys()) this.#changed.add(room);
  }

  #announceAll(): void {
    for (const announced of this.#announced.values()) announced.sendAtMs = this.#context.nowMs;
  }

  handleOpened(): void {
    this.#announceAll();
  }

  /** Until the next connection tells anew, those who were present are shown, unless none is wanted. */
  handleLost(isWanted: boolean): void {
    const { nowMs } = this.#context;
    for (const room of [...this.#members.keys()]) {
      if (!isWanted) this.#forget(room);
      else if (!this.#stale.has(room)) this.#stale.set(room, nowMs + LEASE_MS);
    }
    this.#refused.clear();
  }

  #forget(room: string): void {
    this.#stale.delete(room);
    if (this.#members.delete(room)) this.#changed.add(room);
  }

  handleMembers(room: string, members: readonly Member[]): void {
    if (!this.#announced.has(room)) return;
    this.#members.set(room, members);
    this.#stale.delete(room);
    this.#refused.delete(room);
    this.#changed.add(room);
  }

  get nextMs(): number {
    const isOpen = this.#context.connection !== null;
    const own = [...this.#announced.values()].map(({ shown, sendAtMs }) => {
      return Math.min(nextExpiryMs(shown), isOpen ? sendAtMs : Infinity);
    });
    const others = [...this.#members.values()].flat().map(({ shown }) => nextExpiryMs(shown));
    const retries = isOpen ? [...this.#refused.values()].map(({ retryAtMs }) => retryAtMs) : [];
    return Math.min(Infinity, ...own, ...others, ...retries, ...this.#stale.values());
  }

  /** Lets fields expire, and tells the server what it does not know, in an open session. */
  work(): void {
    const { nowMs } = this.#context;
    for (const [room, untilMs] of [...this.#stale]) if (untilMs <= nowMs) this.#forget(room);
    for (const [room, announced] of this.#announced) {
      const shown = expire(announced.shown, nowMs);
      if (shown !== announced.shown) this.#noteChange(room);
      announced.shown = shown;
    }
    for (const [room, members] of this.#members) {
      const left = members.map((member) => ({ ...member, shown: expire(member.shown, nowMs) }));
      if (left.every(({ shown }, place) => shown === members[place]?.shown)) continue;
      this.#members.set(room, left);
      this.#changed.add(room);
    }
    if (!this.#context.connection) return;
    for (const [room, { retryAtMs }] of this.#refused) {
      const announced = this.#announced.get(room);
      if (retryAtMs > nowMs || !announced) continue;
      this.#refused.delete(room);
      announced.sendAtMs = nowMs;
    }
    for (const [room, announced] of this.#announced)
      if (announced.sendAtMs <= nowMs) this.#announce(room, announced);
  }

  #announce(room: string, announced: Announced): void {
    const { backend, nowMs, settings } = this.#context;
    announced.sendAtMs = Infinity;
    announced.throttledUntilMs = nowMs + settings.presenceThrottleMs;
    const status = this.#status;
    if (status === 'active') announced.activeAtMs = nowMs;
    const backgroundMs = status === 'away' ? settings.presenceBackgroundMs : null;
    const { shown } = announced;
    this.#context.ask(
      (connection) => {
        backend.join(connection, room, shown, status, backgroundMs);
        return true;
      },
      (answer) => {
        if (!(answer instanceof Failure) || !this.#announced.has(room)) return;
        if (answer.retry !== 'later' && this.#stale.has(room)) this.#forget(room);
        const adviceMs = answer.retryAfterMs ?? settings.retryDelayMs;
        this.#refused.set(room, {
          error: answer,
          retryAtMs: answer.retry === 'later' ? nowMs + adviceMs : Infinity,
        });
        this.#changed.add(room);
      },
    );
  }

  takeEvents(): Event[] {
    const rooms = [...this.#changed].sort();
    this.#changed.clear();
    return rooms.map((room) => {
      const seen = (this.#members.get(room) ?? []).map((member) => this.#seen(room, member));
      const error = this.#refused.get(room)?.error.body ?? null;
      return {
        type: 'presence',
        room,
        members: seen.map(({ member }) => member),
        users: usersOf(seen),
        error,
      };
    });
  }

  #seen(room: string, { clientId, userId, shown, status, activeAtMs }: Member): Seen {
    const me = clientId === this.#context.disk.clientId;
    // The server tells everybody but this client of what it announced last.
    const own = me ? this.#announced.get(room) : undefined;
    const state = copy((own?.shown ?? shown).fields);
    const member = { clientId, userId, state, status: own ? this.#status : status, me };
    return { member, activeAtMs: own?.activeAtMs ?? activeAtMs };
  }
}

interface Seen {
  readonly member: PresentMember;
  readonly activeAtMs: number;
}

/** A user shows what the device shows that was active last. */
function usersOf(members: readonly Seen[]): PresentUser[] {
  const ids = [...new Set(members.map(({ member }) => member.userId))].sort();
  return ids.map((userId) => {
    const devices = members.filter(({ member }) => member.userId === userId);
    const rank = ({ member, activeAtMs }: Seen) => [Number(member.status === 'active'), activeAtMs] as const;
    const [first] = [...devices].sort((left, right) => {
      const [ours, theirs] = [rank(left), rank(right)];
      return (
        theirs[0] - ours[0] || theirs[1] - ours[1] || (left.member.clientId < right.member.clientId ? 1 : -1)
      );
    });
    return {
      userId,
      status: first?.member.status ?? 'away',
      devices: devices.length,
      state: first?.member.state ?? {},
      me: devices.some(({ member }) => member.me),
      clientIds: devices.map(({ member }) => member.clientId),
    };
  });
}
