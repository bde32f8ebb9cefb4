// An ordinary Socket.IO backend on loopback: answers `echo` with its arguments, `push` with a number, and
// nothing else. `--parser msgpack` as its clients say. Prints its address.

import { createServer } from 'node:http';

import { Server } from 'socket.io';
import * as msgpack from 'socket.io-msgpack-parser';

const options = process.argv.includes('msgpack') ? { parser: msgpack } : {};
const http = createServer();
const io = new Server(http, { ...options, transports: ['websocket'], maxHttpBufferSize: 8 << 20 });
let pushed = 0;

io.on('connection', (socket) => {
  socket.on('echo', (...args) => args.at(-1)(args[0]));
  socket.on('push', (...args) => args.at(-1)((pushed += 1)));
});

http.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
// Whoever started it has gone when its standard input ends.
process.stdin.on('end', () => process.exit()).resume();
