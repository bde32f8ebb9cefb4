// A chat backend as many are: tokens, rooms, messages. Sync is what the last lines add.

import { randomUUID } from 'node:crypto';

import { endWithToken, verify } from './auth.js';
import { isKey, onceByKey } from './once.js';
import { addSync } from './sync/sync.js';

const TEXT_LENGTH_MAX = 4000;

/** Adds the backend's events to a Socket.IO server. */
export function addBackend(io, { secret, store, graceMs }) {
  io.use((socket, next) => {
    try {
      socket.data.claims = verify(socket.handshake.auth.token, secret);
      next();
    } catch (error) {
      next(new Error(`unauthorized: ${error.message}`));
    }
  });

  const userOf = (socket) => socket.data.claims.sub;
  const allows = (socket, room) =>
    room === `user:${userOf(socket)}` || (socket.data.claims.rooms ?? []).includes(room);
  const once = onceByKey();

  io.on('connection', (socket) => {
    endWithToken(socket, socket.data.claims);
    on(socket, 'room:join', ({ room }) => {
      if (!allows(socket, room)) return { error: { code: 'forbidden', message: `${room} is not allowed` } };
      socket.join(room);
      return { ok: true };
    });

    on(socket, 'room:leave', ({ room }) => {
      socket.leave(room);
      return { ok: true };
    });

    // Who hears no answer sends the message again, with the same key: it is said once.
    on(socket, 'chat:send', ({ room, text }, key) => {
      if (!allows(socket, room)) return { error: { code: 'forbidden', message: `${room} is not allowed` } };
      const message = { from: userOf(socket), text, at: Date.now() };
      const { idempotencyKey = randomUUID() } = key ?? {};
      if (!isKey(idempotencyKey)) return { error: { code: 'invalid', message: 'the key is no short text' } };
      return once(userOf(socket), idempotencyKey, () => send(room, message));
    });
  });

  // From here on: sync. A message is a document, so devices that sync hold it too, and may write one themselves.
  const sync = addSync(io, {
    store,
    userOf,
    allows,
    graceMs,
    objection(room, { collection, write }, user, document) {
      if (collection !== 'messages') return undefined;
      const { from, text } = write.create ?? {};
      // A document that exists takes what a second `create` says into its fields.
      const isOwn = from === user && (document === null || document.fields.from === user);
      return isOwn && isText(text) ? undefined : 'a message is created, by who says it';
    },
    onChanges(room, documents) {
      for (const { collection, id, fields } of documents) {
        if (collection === 'messages') io.to(room).emit('chat:message', { id, ...fields });
      }
    },
  });

  async function send(room, message) {
    if (!isText(message.text))
      return { error: { code: 'invalid', message: 'there is no text, or too much' } };
    const id = randomUUID();
    await sync.write(room, [{ collection: 'messages', id, write: { create: message } }]);
    return { ok: true, id };
  }
}

const isText = (text) => typeof text === 'string' && text.length > 0 && text.length <= TEXT_LENGTH_MAX;

/** Answers an event with what `handle` makes of its arguments. What a client sends must not end the process. */
function on(socket, event, handle) {
  socket.on(event, async (...args) => {
    const answer = typeof args.at(-1) === 'function' ? args.pop() : () => {};
    const [message, ...rest] = args;
    try {
      answer(await handle(message ?? {}, ...rest));
    } catch (error) {
      console.error(event, error);
      answer({ error: { code: 'unavailable', message: 'try again' } });
    }
  });
}
