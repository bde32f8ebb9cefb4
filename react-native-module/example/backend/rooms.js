// Who may do what, over the socket. Sync itself is the backend's in examples/socketio-backend.

import { endWithToken, verify } from '../../../examples/socketio-backend/auth.js';
import { addSync } from '../../../examples/socketio-backend/sync/sync.js';

/** Rooms that everybody is in, beside their own. */
const SHARED_ROOMS = new Set(['feed', 'chat:lobby', 'notes']);

/** Who writes a document of these collections is named in it, and nobody writes for another. */
const AUTHOR_FIELD = { activities: 'author', messages: 'from' };

export function addRooms(io, { secret, store }) {
  io.use((socket, next) => {
    try {
      socket.data.claims = verify(socket.handshake.auth.token, secret);
      next();
    } catch (error) {
      next(new Error(`unauthorized: ${error.message}`));
    }
  });
  io.on('connection', (socket) => endWithToken(socket, socket.data.claims));
  const userOf = (socket) => socket.data.claims.sub;
  return addSync(io, {
    store,
    userOf,
    allows: (socket, room) => SHARED_ROOMS.has(room) || room === `user:${userOf(socket)}`,
    objection(_room, { collection, write }, user, document) {
      const field = AUTHOR_FIELD[collection];
      if (field === undefined) return undefined;
      // A document that exists takes what a second `create` says into its fields.
      const isFree = document === null || document.fields[field] === user;
      if (isFree && write.create?.[field] === user) return undefined;
      return 'it is created once, by its author';
    },
  });
}
