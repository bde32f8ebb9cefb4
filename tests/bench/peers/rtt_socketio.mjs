// npm socket.io-client: an event and its answer.

import { operationsOf, serve } from './contender.mjs';
import { connect, startNativeServer, startServer } from './socketio_client.mjs';

const CALLERS = 100;
const TEXT = 'x'.repeat(200);

const npm = await connect(await startServer('msgpack'), 'msgpack');
const native = await connect(await startNativeServer(), 'msgpack');

/** The median and the 99th percentile, in microseconds. */
async function oneAtATime(socket, events) {
  const took = [];
  for (let event = 0; event < events; event += 1) {
    const begin = performance.now();
    await socket.emitWithAck('echo', TEXT);
    took.push((performance.now() - begin) * 1000);
  }
  took.sort((a, b) => a - b);
  return [took[Math.floor(events / 2)], took[Math.floor(events * 0.99)]];
}

/** How long an answer takes on average, and the processor's time for it, in microseconds. */
async function many(socket, events) {
  async function caller() {
    for (let event = 0; event < events / CALLERS; event += 1) {
      await socket.emitWithAck('echo', TEXT);
    }
  }
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const { user, system } = process.cpuUsage(cpuBefore);
  return [((performance.now() - begin) * 1000) / events, (user + system) / events];
}

await serve(async ({ block, samples, work }) => {
  const socket = block === '100 in flight, native backend' ? native : npm;
  const measured = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const events = operationsOf(work);
    measured.push(await (work.concurrent === undefined ? oneAtATime(socket, events) : many(socket, events)));
  }
  return { values: measured.map(([value]) => value), also: [measured.map(([, further]) => further)] };
});
