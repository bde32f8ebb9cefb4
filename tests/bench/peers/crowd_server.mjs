// npm's socket.io with the same events as a Syncline server, in plain JSON and without keeping anything: a push is told to
// everybody who subscribed to its room, and what a member shows to all others. Prints its address.

import { createServer } from 'node:http';

import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], maxHttpBufferSize: 8 << 20, serveClient: false });
let seq = 0;
const members = new Map();

io.on('connection', (socket) => {
  socket.on('sync:subscribe', ({ room }, answer) => {
    socket.join(room);
    answer({ changes: [], cursor: seq, more: false });
  });
  socket.on('sync:push', ({ room, mutations }, answer) => {
    const changes = mutations.map(({ collection, id, write }) => {
      seq += 1;
      return {
        collection,
        id,
        fields: write.create,
        seq,
        version: {},
        stamps: { base: [0, 0, ''], fields: {} },
        deleted: false,
      };
    });
    io.to(room).emit('sync:changes', { room, from_seq: changes[0].seq, to_seq: seq, changes });
    answer({ results: changes.map((change) => ({ status: 'applied', seq: change.seq })), error: null });
  });
  const shown = (kind, room, state) => {
    const { client_id, user_id } = socket.handshake.auth;
    const member = { client_id, user_id, state, status: 'active', expires_ms: {}, idle_ms: 0 };
    members.set(client_id, member);
    socket.to(room).emit('presence:diff', { room, joined: [], updated: [], left: [], [kind]: [member] });
  };
  socket.on('presence:join', ({ room, state }, answer) => {
    shown('joined', room, state);
    socket.join(room);
    answer({ members: [...members.values()] });
  });
  socket.on('presence:update', ({ room, state }, answer) => {
    shown('updated', room, state);
    answer({ ok: true });
  });
});

http.listen(0, '127.0.0.1', 1024, () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
// Whoever started it has gone when its standard input ends.
process.stdin.on('end', () => process.exit()).resume();
