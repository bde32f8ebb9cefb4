// Where the changes of `render` come from: another process, so that only what they cost their receiver is measured.
// `syncline`: another device, over a real server. `socketio`: an npm Socket.IO backend that emits `changed`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { Server } from 'socket.io';

import { idOf, rowsAtFirst } from './render_rows.mjs';

const FAST = join(import.meta.dirname, '../../../target/fast');
const STEP_MS = 5;
const BATCH = 500;

const [kind, directory] = process.argv.slice(2);

async function startBackend() {
  const http = createServer();
  const io = new Server(http, { transports: ['websocket'] });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const change = (changes) => changes.forEach((changed) => io.emit('changed', changed));
  return { about: { url: `http://127.0.0.1:${http.address().port}` }, change };
}

async function startServer() {
  const binary = resolve(process.env.SYNCLINE_SERVER_BIN ?? join(FAST, 'syncline-server'));
  const data = ['--data', join(directory, 'server'), '--log', 'warn'];
  const server = spawn(binary, ['--dev', '--listen', '127.0.0.1:0', ...data], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.on('exit', () => server.kill());
  const [line] = await once(createInterface(server.stdout), 'line');
  const url = line.replace('listening on ', '');
  const token = async (sub) => {
    const body = JSON.stringify({ sub, rooms: ['list:1'] });
    const response = await fetch(`${url}/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    return (await response.json()).token;
  };
  const { createSyncClient } = await import('../../../react-native-module/build/node.js');
  const writer = createSyncClient({ url, store: 'memory', auth: { token: await token('writer') } });
  const write = (rows, of) =>
    writer.write(rows.map((row) => ({ room: 'list:1', collection: 'rows', id: row.id, write: of(row) })));
  const rows = rowsAtFirst();
  for (let at = 0; at < rows.length; at += BATCH) {
    await write(rows.slice(at, at + BATCH), ({ position, text }) => ({ create: { position, text } }));
  }
  await writer.flush();
  const change = (changes) => write(changes, ({ position }) => ({ update: { position: { set: position } } }));
  return { about: { url, token: await token('reader') }, change };
}

const { about, change } = await (kind === 'syncline' ? startServer() : startBackend());

process.on('message', async ({ from, count, perSecond }) => {
  const changes = Array.from({ length: count }, (_, at) => ({
    id: idOf(from + at),
    position: from + at,
    text: 'x',
  }));
  if (perSecond === null) return change(changes);
  const begin = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(count, Math.floor(((performance.now() - begin) * perSecond) / 1000));
    if (due > sent) change(changes.slice(sent, due));
    sent = due;
    if (sent === count) clearInterval(timer);
  }, STEP_MS);
});
process.on('disconnect', () => process.exit());
process.send(about);
