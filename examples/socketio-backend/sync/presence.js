// Who is present in a room: the section "Presence" of docs/protocol.md, in the memory of this process.

import { LIMITS, checkPresence, checkRoom, fieldsByteLength } from './check.js';
import { Refusal, tooLarge } from './refusal.js';

/** How long a client whose connection broke is away, rather than gone. */
const GRACE_MS = 15_000;
/** The longest time that an app in the background may ask for in its place. */
const BACKGROUND_LEASE_MS_MAX = 15 * 60_000;

/** Begins the Socket.IO rooms of those that are present. */
const PRESENT = '\u0001presence:';

/**
 * The handlers of the events, `leave` for who may be there no longer, and `lose` for a connection that ended. A dead one is
 * found by Socket.IO's heartbeat.
 */
export function addPresence(io, { userOf, allowed, graceMs = GRACE_MS }) {
  /** Room -> client id -> who is there. */
  const rooms = new Map();

  const tell = (room, socket, news) =>
    io
      .to(PRESENT + room)
      .except(socket.id)
      .emit('presence:diff', { room, joined: [], updated: [], left: [], ...news });

  /** The client's own entry, unless a newer connection has taken it over. */
  function find({ socket, client }, room) {
    const seen = rooms.get(room)?.get(client);
    return seen?.socket === socket ? seen : undefined;
  }

  function remove(room, { socket, client, timer }) {
    clearTimeout(timer);
    rooms.get(room).delete(client);
    if (rooms.get(room).size === 0) rooms.delete(room);
    tell(room, socket, { left: [client] });
  }

  function show({ socket, client }, { status, background_lease_ms }, state) {
    const now = Date.now();
    const active = status === 'active' ? now : (state.activeAt ?? now);
    return { ...state, socket, client, user: userOf(socket), status, background_lease_ms, activeAt: active };
  }

  const handlers = {
    'presence:join': async (session, request) => {
      const room = await allowed(session.socket, checkRoom(request));
      if (session.client === null) throw new Refusal('forbidden', 'a connection without a client id');
      const shown = checkPresence(request);
      const seen = show(session, shown, merge({}, shown));
      const before = rooms.get(room)?.get(session.client);
      // Every member sees the ids of the others.
      if (before !== undefined && before.user !== seen.user) {
        throw new Refusal('forbidden', "the client id is another user's");
      }
      const members = rooms.get(room) ?? rooms.set(room, new Map()).get(room);
      clearTimeout(before?.timer);
      members.set(session.client, seen);
      session.socket.join(PRESENT + room);
      session.present.add(room);
      tell(room, session.socket, { [before ? 'updated' : 'joined']: [describe(seen)] });
      return { members: [...members.values()].map(describe) };
    },

    'presence:update': async (session, request) => {
      const room = await allowed(session.socket, checkRoom(request));
      const before = find(session, room);
      if (before === undefined) throw new Refusal('not_found', 'it is not present there');
      const shown = checkPresence(request);
      const seen = show(session, shown, merge(before, shown));
      rooms.get(room).set(session.client, seen);
      tell(room, session.socket, { updated: [describe(seen)] });
      return { ok: true };
    },

    'presence:leave': (session, request) => {
      leave(session, checkRoom(request));
      return { ok: true };
    },
  };

  /** Whether the session was there. */
  function leave(session, room) {
    const seen = find(session, room);
    session.socket.leave(PRESENT + room);
    if (seen !== undefined) remove(room, seen);
    return session.present.delete(room);
  }

  /** The client said goodbye, or may come back. */
  function lose(session, reason) {
    for (const room of session.present) {
      const seen = find(session, room);
      if (seen === undefined) continue;
      if (reason === 'client namespace disconnect') {
        remove(room, seen);
        continue;
      }
      seen.status = 'away';
      const ms = Math.min(seen.background_lease_ms ?? graceMs, BACKGROUND_LEASE_MS_MAX);
      seen.timer = setTimeout(() => remove(room, seen), ms).unref();
      tell(room, session.socket, { updated: [describe(seen)] });
    }
  }

  return { handlers, leave, lose };
}

/** A state with what a request changes in it: null removes a field, and some fields vanish by themselves. */
function merge({ fields = {}, endsAt = {}, activeAt }, { state, expires_ms }) {
  const now = Date.now();
  const standing = Object.entries(fields).filter(([name]) => !(endsAt[name] <= now));
  const merged = Object.entries({ ...Object.fromEntries(standing), ...state });
  const left = Object.fromEntries(merged.filter(([, value]) => value !== null));
  if (fieldsByteLength(left) > LIMITS.presence_state_bytes_max) throw tooLarge('the presence state');
  const kept = Object.entries(endsAt).filter(([name]) => !Object.hasOwn(state, name));
  const set = Object.entries(expires_ms).map(([name, ms]) => [name, now + ms]);
  return { fields: left, endsAt: Object.fromEntries([...kept, ...set]), activeAt };
}

function describe({ client, user, fields, endsAt, status, activeAt }) {
  const now = Date.now();
  const isThere = ([name]) => !(endsAt[name] <= now);
  const ending = Object.entries(endsAt).filter(([name, at]) => at > now && Object.hasOwn(fields, name));
  return {
    client_id: client,
    user_id: user,
    state: Object.fromEntries(Object.entries(fields).filter(isThere)),
    status,
    expires_ms: Object.fromEntries(ending.map(([name, at]) => [name, at - now])),
    idle_ms: now - activeAt,
  };
}
