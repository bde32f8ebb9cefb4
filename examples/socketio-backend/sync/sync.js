// The events that sync a client, in front of a store. docs/protocol.md is what they say.

import { randomUUID } from 'node:crypto';

import {
  COUNTER_MAX,
  LIMITS,
  checkCursor,
  checkMutation,
  checkPush,
  checkRoom,
  isClientId,
} from './check.js';
import { addPresence } from './presence.js';
import { applyPush, capped, forClients } from './push.js';
import { Refusal, invalid } from './refusal.js';

const PROTOCOL = 1;
const PAGE_BYTES_MAX = 1 << 20;
/** Requests of one connection that wait for their turn. */
const REQUESTS_WAITING_MAX = 1000;
const RETRY_AFTER_MS = 1000;

/** Begins the Socket.IO rooms of subscribers. Names hold no control character, so it begins no other room. */
const SUBSCRIBERS = '\u0001sync:';
/** Owns the client ids of the servers themselves, which everybody sees in what they write; no user has this name. */
const SERVER = '\u0001server';

/**
 * Adds sync to a Socket.IO server.
 *
 * - `store`: where the logs are, a `MemoryStore` or a `PostgresStore`.
 * - `userOf(socket)`: who it is, as the server's own middleware found out.
 * - `allows(socket, room)`: whether that user may read and write the room; may be a promise.
 * - `objection(room, mutation, user, document)`: why a mutation is never to be applied, undefined for none. `document` is
 *   what is stored, also when it is deleted; null for none. It is only read. The room waits for a promise.
 * - `onChanges(room, documents, user)`: called with what was written, once it is durable. Nobody waits for a promise; a
 *   failure is logged.
 * - `graceMs`: how long a client whose connection broke is away, rather than gone; 15 s if not given.
 *
 * Returns `write(room, writes)`, for writes of the server's own: each `{ collection, id, write }`; and
 * `revoke(socket, room)`, for who is connected here and may use the room no longer, once `allows` says so.
 */
export function addSync(io, options) {
  const { store, userOf, allows, objection = () => {}, onChanges = () => {}, graceMs } = options;
  const clock = serverClock();
  /** Of the connections of this process. */
  const sessions = new WeakMap();
  const presence = addPresence(io, { userOf, allowed, graceMs });

  /** Applies what `mutationsIn(tx, nowMs)` resolves to, once the room is this transaction's alone. */
  async function push(room, mutationsIn, author) {
    const { answer, changes } = await store.transaction(room, async (tx) => {
      const nowMs = Date.now();
      const mutations = await mutationsIn(tx, nowMs);
      // As the merge takes them: a client's clock may not lead this one's away.
      for (const mutation of mutations) clock.observe(capped(mutation, nowMs));
      return applyPush(tx, { room, mutations }, author, nowMs);
    });
    if (changes !== null) {
      io.to(SUBSCRIBERS + room).emit('sync:changes', changes);
      tellChanges(room, changes.changes, author.user);
    }
    return answer;
  }

  /** What was written is durable: a failure of whoever is told of it changes no answer. */
  async function tellChanges(room, documents, user) {
    try {
      await onChanges(room, documents, user);
    } catch (error) {
      console.error('onChanges:', error);
    }
  }

  async function page(room, cursor, limit) {
    const { head, changes } = await store.page(room, cursor, limit, PAGE_BYTES_MAX);
    const last = changes.at(-1)?.seq ?? head.seq;
    const more = last < head.seq;
    const documents = changes.map(forClients);
    return { changes: documents, cursor: last, more, reset: false, checksum: more ? null : head.checksum };
  }

  const handlers = {
    ...presence.handlers,

    'sync:subscribe': async ({ socket }, request) => {
      const room = await allowed(socket, checkRoom(request));
      const cursor = checkCursor(request);
      if (socket.rooms.size > LIMITS.rooms_max) throw new Refusal('too_large', 'more than rooms_max rooms');
      // Before the page is read: what is written meanwhile comes as a change.
      socket.join(SUBSCRIBERS + room);
      return page(room, cursor, LIMITS.page_count_max);
    },

    'sync:unsubscribe': ({ socket }, request) => {
      socket.leave(SUBSCRIBERS + checkRoom(request));
      return { ok: true };
    },

    'sync:pull': async ({ socket }, request) => {
      const room = await allowed(socket, checkRoom(request));
      const limit = Number.isSafeInteger(request.limit) ? request.limit : LIMITS.page_count_max;
      return page(room, checkCursor(request), Math.min(Math.max(limit, 1), LIMITS.page_count_max));
    },

    'sync:push': async ({ socket, client, pushed }, request) => {
      const { room, after, mutations } = checkPush(request);
      await allowed(socket, room);
      if (client === null) throw new Refusal('forbidden', 'a connection without a client id cannot push');
      const last = pushed.get(room);
      pushed.delete(room);
      if (after !== null && after !== last) {
        throw new Refusal('out_of_order', 'the push before this one did not succeed');
      }
      const user = userOf(socket);
      const objectionOf = (mutation, document) => objection(room, mutation, user, document);
      const author = { user, owner: user, client, objection: objectionOf };
      const answer = await push(room, () => mutations, author);
      if (answer.error === null) pushed.set(room, mutations.at(-1).client_seq);
      return answer;
    },

    'presence:ping': async ({ socket }) => {
      const subscribed = [...socket.rooms].filter((name) => name.startsWith(SUBSCRIBERS));
      return { heads: await store.heads(subscribed.map((name) => name.slice(SUBSCRIBERS.length))) };
    },
  };

  async function allowed(socket, room) {
    if (!(await allows(socket, room))) throw new Refusal('forbidden', `${room} is not allowed`);
    // Whoever went while `allows` looked it up has left its rooms: nobody would take it out of another.
    if (!socket.connected) throw new Refusal('unavailable', 'the connection has ended');
    return room;
  }

  io.use((socket, next) => {
    const { protocol, client_id } = socket.handshake.auth;
    if ((protocol ?? PROTOCOL) !== PROTOCOL) next(new Error(`unsupported_protocol: this is ${PROTOCOL}`));
    else if ((client_id ?? null) !== null && !isClientId(client_id))
      next(new Error('invalid: client_id is no UUID'));
    else next();
  });

  io.on('connection', (socket) => {
    const client = socket.handshake.auth.client_id ?? null;
    const session = { socket, client, pushed: new Map(), present: new Set() };
    sessions.set(socket, session);
    serve(handlers, session);
    socket.on('disconnect', (reason) => presence.lose(session, reason));
    const hello = { protocol: PROTOCOL, encoding: 'plain', limits: LIMITS, server_time_ms: Date.now() };
    socket.emit('sync:hello', { ...hello, user_id: userOf(socket) });
  });

  const self = { user: 'server', owner: SERVER, client: randomUUID(), objection: () => {} };
  return {
    async write(room, writes) {
      // Writes that run at once wait for the room in any order: whoever has it takes the next numbers.
      const numbered = async (tx, nowMs) => {
        const last = await tx.lastNumber(self.client);
        return writes.map((write, at) =>
          checkMutation({ ...write, client_seq: last + 1 + at, time: clock.tick(nowMs) }),
        );
      };
      const { results, error } = await push(room, numbered, self);
      const refused = error ?? results.find((result) => result.error)?.error;
      if (refused) throw new Refusal(refused.code, refused.message);
    },

    revoke(socket, room) {
      const session = sessions.get(socket);
      if (session === undefined) throw new Error('the socket is not one of this process');
      const lost = [];
      if (socket.rooms.has(SUBSCRIBERS + room)) lost.push('read');
      socket.leave(SUBSCRIBERS + room);
      if (presence.leave(session, room)) lost.push('presence');
      if (lost.length === 0) return;
      const error = new Refusal('forbidden', `${room} is not allowed`).toWire();
      socket.emit('access:lost', { room, lost, error });
    },
  };
}

/** Answers the requests of one connection one after the other, in the order in which they came. */
function serve(handlers, session) {
  const { socket } = session;
  let turn = Promise.resolve();
  let waiting = 0;
  for (const [event, handle] of Object.entries(handlers)) {
    socket.on(event, (request, ...rest) => {
      const answer = rest.at(-1);
      if (typeof answer !== 'function') return;
      if (waiting >= REQUESTS_WAITING_MAX) {
        answer(failure(new Refusal('rate_limited', 'too many requests at once', RETRY_AFTER_MS)));
        return;
      }
      waiting += 1;
      turn = turn.then(async () => {
        try {
          if (socket.connected) answer(await handle(session, request));
        } catch (error) {
          answer(failure(error));
        } finally {
          waiting -= 1;
        }
      });
    });
  }
  // A request that nobody answers looks like a dead connection.
  socket.onAny((event, ...rest) => {
    const answer = rest.at(-1);
    if (typeof answer === 'function' && socket.listenerCount(event) === 0) {
      answer(failure(invalid(`${event} is not known here`)));
    }
  });
}

function failure(error) {
  if (error instanceof Refusal) return { error: error.toWire() };
  console.error('sync:', error);
  return { error: new Refusal('unavailable', 'try again', RETRY_AFTER_MS).toWire() };
}

/** The hybrid clock of the server's own writes: later than everything it has seen. */
function serverClock() {
  let last = [0, 0];
  const isLater = (one, other) => one[0] > other[0] || (one[0] === other[0] && one[1] > other[1]);
  return {
    observe(time) {
      if (isLater(time, last)) last = time;
    },
    tick(nowMs) {
      if (nowMs > last[0]) last = [nowMs, 0];
      else last = last[1] < COUNTER_MAX ? [last[0], last[1] + 1] : [last[0] + 1, 0];
      return last;
    },
  };
}
