// The least that docs/protocol.md lets a backend be: five events, in plain. No hello, no ping, no checksum, no versions,
// no stamps of fields, no conflicts, and `after` is ignored: every push is answered before the next one is read.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { Server } from 'socket.io';

import { checkPush } from '../../../examples/socketio-backend/sync/check.js';
import { merge } from '../../../examples/socketio-backend/sync/merge.js';

/** Starts one; `documents` says whether its live changes hold documents, or only where the log ends. */
export async function startLeast({ documents }) {
  const http = createServer();
  const io = new Server(http);
  const rooms = new Map();
  const counts = { pushes: 0, pages: 0 };
  /** Answers that wait; null while none does. */
  let held = null;

  const roomOf = (name) => {
    if (!rooms.has(name)) rooms.set(name, { seq: 0, documents: new Map(), numbers: new Map() });
    return rooms.get(name);
  };
  const page = ({ room, cursor }) => {
    const { seq, documents: all } = roomOf(room);
    const changes = [...all.values()].filter((document) => document.seq > cursor);
    return { changes: changes.sort((one, other) => one.seq - other.seq).map(bare), cursor: seq, more: false };
  };

  const answerPage = (request, answer) => {
    const read = page(request);
    counts.pages += 1;
    if (held === null) answer(read);
    else held.push(() => answer(read));
  };

  io.on('connection', (socket) => {
    const client = socket.handshake.auth.client_id;
    socket.on('sync:subscribe', (request, answer) => {
      socket.join(request.room);
      answerPage(request, answer);
    });
    socket.on('sync:unsubscribe', ({ room }, answer) => {
      socket.leave(room);
      answer({ ok: true });
    });
    socket.on('sync:pull', answerPage);
    socket.on('sync:push', (request, answer) => {
      counts.pushes += 1;
      const { room: name, mutations } = checkPush(request);
      const room = roomOf(name);
      const from_seq = room.seq + 1;
      const results = mutations.map((mutation) => apply(room, client, mutation));
      answer({ results });
      if (room.seq < from_seq) return;
      const to_seq = room.seq;
      const live = page({ room: name, cursor: from_seq - 1 }).changes;
      io.to(name).emit(
        'sync:changes',
        documents
          ? { room: name, from_seq, to_seq, changes: live }
          : { room: name, from_seq: to_seq + 1, to_seq, changes: [] },
      );
    });
  });

  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    counts,
    /** Pages are read when they are asked for, and answered when they are released. */
    holdPages() {
      held = [];
    },
    releasePages() {
      held.forEach((answer) => answer());
      held = null;
    },
    close: () => io.close(),
  };
}

function apply(room, client, mutation) {
  const { client_seq, collection, id } = mutation;
  const key = JSON.stringify([collection, id]);
  const current = room.documents.get(key) ?? null;
  if (client_seq <= (room.numbers.get(client) ?? 0))
    return { client_seq, status: 'duplicate', seq: room.seq };
  room.numbers.set(client, client_seq);
  const document = merge(current, mutation, client, Date.now());
  if (document === null) {
    return {
      client_seq,
      status: 'rejected',
      error: { code: 'not_found', message: 'there is no such document' },
    };
  }
  room.seq += 1;
  room.documents.set(key, { ...document, seq: room.seq });
  return { client_seq, status: 'applied', seq: room.seq };
}

/** What a client must be told of a document. */
function bare({ collection, id, fields, seq, stamps, deleted }) {
  const told = { base: stamps.base, fields: {} };
  return { collection, id, fields: deleted ? {} : fields, seq, version: {}, stamps: told, deleted };
}
