// What the contenders on npm socket.io-client share: a server of their own, and a client that is connected to it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { io } from 'socket.io-client';
import * as msgpack from 'socket.io-msgpack-parser';

/** Starts a server on npm socket.io; it ends with this process. */
export async function startServer(parser) {
  return start(process.execPath, [join(import.meta.dirname, 'socketio_server.mjs'), parser]);
}

/** Starts the native backend, which the benchmark's own program is when told so; it ends with this process. */
export async function startNativeServer() {
  return start(process.env.SYNCLINE_BENCH_BIN, ['--contender', 'rtt/native', '--directory', '.']);
}

async function start(program, options) {
  const child = spawn(program, options, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return line.replace('listening on ', '');
}

/** A connected client, without the HTTP polling that it would begin with. */
export async function connect(url, parser) {
  const options = parser === 'msgpack' ? { parser: msgpack } : {};
  const socket = io(url, { ...options, transports: ['websocket'], forceNew: true });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}
