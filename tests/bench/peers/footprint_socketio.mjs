// npm socket.io-client, with as many emits in its buffer as are asked for: it keeps them in memory only, until it is
// connected, and then until they are acknowledged. Each sample is a process of its own.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { operationsOf, serve } from './contender.mjs';

const script = fileURLToPath(import.meta.url);
const [, , mode, url, queued] = process.argv;

if (mode === 'client') {
  global.gc();
  const empty = process.memoryUsage().rss;
  const { connect } = await import('./socketio_client.mjs');
  const { writeOf } = await import('./drain.mjs');
  const socket = await connect(url, 'msgpack');
  // The server does not know the event: no answer comes.
  for (let number = 1; number < Number(queued); number += 1) {
    socket.emit('nothing', writeOf(number), () => {});
  }
  const grown = process.memoryUsage().rss - empty;
  process.stdout.write(JSON.stringify(grown / (1 << 20)));
  process.exit();
}

const { startServer } = await import('./socketio_client.mjs');
const address = await startServer('msgpack');
await serve(async ({ samples, work }) => {
  const values = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const options = ['--expose-gc', script, 'client', address, String(operationsOf(work))];
    const { stdout } = await promisify(execFile)(process.execPath, options);
    values.push(JSON.parse(stdout));
  }
  return values;
});
