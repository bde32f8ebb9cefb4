// npm start: settings come from the environment. PORT (3000), HOST (127.0.0.1; 0.0.0.0 for phones in the same network), SECRET.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Server } from 'socket.io';

import { MemoryStore } from '../../../examples/socketio-backend/sync/memory-store.js';
import { addApi } from './api.js';
import { addRooms } from './rooms.js';

const { PORT = '3000', HOST = '127.0.0.1', SECRET = randomBytes(32).toString('hex') } = process.env;

/** As `message_bytes_max` says: Socket.IO's own limit, 1 MB, is less than a document may have. */
const MESSAGE_BYTES_MAX = 8 << 20;

const http = createServer();
const io = new Server(http, { maxHttpBufferSize: MESSAGE_BYTES_MAX });
const sync = addRooms(io, { secret: SECRET, store: new MemoryStore() });
addApi(http, { secret: SECRET, sync });
http.listen(Number(PORT), HOST, () => console.log(`listening on http://${HOST}:${http.address().port}`));

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => io.close(() => process.exit(0)));
