// npm socket.io-client, with as many emits in its buffer as are asked for: it keeps them in memory only, until it is
// connected, and then until they are acknowledged. Each sample is two processes: one that holds it, and one that does not.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { operationsOf, serve } from './contender.mjs';

const script = fileURLToPath(import.meta.url);
const [, , mode, url, queued] = process.argv;

/** What this process holds, in MiB: its own, and what is mapped from files. */
function memory() {
  const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const mib = (name) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(rollup)[1]) / 1024;
  const own = mib('Anonymous');
  return { own, mapped: mib('Rss') - own };
}

if (mode === 'idle') {
  global.gc();
  process.stdout.write(JSON.stringify(memory()));
  process.exit();
}

if (mode === 'connected') {
  const { connect } = await import('./socketio_client.mjs');
  const { writeOf } = await import('./drain.mjs');
  const socket = await connect(url, 'msgpack');
  // The server does not know the event: no answer comes.
  for (let number = 1; number < Number(queued); number += 1) {
    socket.emit('nothing', writeOf(number), () => {});
  }
  global.gc();
  process.stdout.write(JSON.stringify(memory()));
  process.exit();
}

async function memoryOf(...told) {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, ...told]);
  return JSON.parse(stdout);
}

const { startServer } = await import('./socketio_client.mjs');
const address = await startServer('msgpack');
await serve(async ({ samples, work }) => {
  const [values, own, mapped] = [[], [], []];
  for (let sample = 0; sample < samples; sample += 1) {
    const idle = await memoryOf('idle');
    const connected = await memoryOf('connected', address, String(operationsOf(work)));
    own.push(connected.own - idle.own);
    mapped.push(connected.mapped - idle.mapped);
    values.push(own.at(-1) + mapped.at(-1));
  }
  return { values, also: [own, mapped] };
});
