// A stock Socket.IO client that a test drives: one JSON command per line in, one JSON answer per line out, by id.
// Bytes are spelled {"$bin": "hex"}.
import { createInterface } from 'node:readline';
import { decode, encode } from '@msgpack/msgpack';
import { io } from 'socket.io-client';
import * as msgpackParser from 'socket.io-msgpack-parser';

const sockets = new Map();

const toBytes = (value) => {
  if (Array.isArray(value)) return value.map(toBytes);
  if (value !== null && typeof value === 'object') {
    if (typeof value.$bin === 'string') return Uint8Array.from(Buffer.from(value.$bin, 'hex'));
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toBytes(inner)]));
  }
  return value;
};

const fromBytes = (value) => {
  if (value instanceof Uint8Array || value instanceof ArrayBuffer)
    return { $bin: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(fromBytes);
  if (typeof value === 'bigint') return Number(value);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, fromBytes(inner)]));
  }
  return value;
};

const isBytes = (value) => value instanceof Uint8Array || value instanceof ArrayBuffer;

// Version vectors have binary keys.
const mapKeyConverter = (key) => (key instanceof Uint8Array ? Buffer.from(key).toString('hex') : key);

// An argument as {encoding, value}, compact ones unpacked.
const describe = (value) =>
  isBytes(value)
    ? { encoding: 'compact', value: fromBytes(decode(value, { mapKeyConverter })) }
    : { encoding: 'plain', value: fromBytes(value) };

const take = (client, event) => {
  const index = client.received.findIndex((entry) => entry.event === event);
  return index < 0 ? undefined : client.received.splice(index, 1)[0].argument;
};

const receive = (client, event, value) => {
  const argument = describe(value);
  const index = client.waiting.findIndex((waiter) => waiter.event === event);
  if (index < 0) client.received.push({ event, argument });
  else client.waiting.splice(index, 1)[0].resolve(argument);
};

const commands = {
  connect: ({ name, url, auth, parser, transports, insecure, reconnection = false }) =>
    new Promise((resolve) => {
      const options = { auth: toBytes(auth), reconnection, forceNew: true };
      if (transports) options.transports = transports;
      // A certificate that the test made.
      if (insecure) options.rejectUnauthorized = false;
      if (parser === 'msgpack')
        Object.assign(options, { parser: msgpackParser, query: { parser: 'msgpack' } });
      const socket = io(url, options);
      const client = { socket, received: [], waiting: [] };
      sockets.set(name, client);
      socket.onAny((event, value) => receive(client, event, value));
      socket.on('disconnect', (reason) => receive(client, '$disconnect', reason));
      socket.on('connect', () => resolve({ connected: true, transport: socket.io.engine.transport.name }));
      socket.on('connect_error', (error) =>
        resolve({ connected: false, message: error.message, data: error.data ?? null }),
      );
    }),
  // A compact argument goes as a Buffer, or as a typed array if `typed`: the MessagePack parser sends them differently,
  // a typed array always with the whole buffer below it.
  // What the connection's end leaves unanswered is `{encoding: "none"}`.
  emit: ({ name, event, plain, compact, typed }) =>
    new Promise((resolve) => {
      const { socket } = sockets.get(name);
      const ended = () => resolve({ encoding: 'none', value: null });
      if (!socket.active) return ended();
      const args = [];
      if (plain !== undefined) args.push(toBytes(plain));
      const packed = compact === undefined ? [] : [encode(toBytes(compact))];
      args.push(...packed.map((bytes) => (typed ? Uint8Array.from(bytes) : Buffer.from(bytes))));
      socket.once('disconnect', ended);
      socket.emit(event, ...args, (answer) => {
        socket.off('disconnect', ended);
        resolve(describe(answer));
      });
    }),
  // Many at once, in order; answers in order.
  burst: ({ name, event, plains }) =>
    Promise.all(plains.map((plain) => commands.emit({ name, event, plain }))),
  next: ({ name, event }) =>
    new Promise((resolve) => {
      const client = sockets.get(name);
      const taken = take(client, event);
      if (taken === undefined) client.waiting.push({ event, resolve });
      else resolve(taken);
    }),
  // The names of events that were not taken yet.
  unread: ({ name }) => Promise.resolve(sockets.get(name).received.map(({ event }) => event)),
  transport: ({ name }) => Promise.resolve(sockets.get(name).socket.io.engine.transport.name),
  // Stops reading from, or goes on with, the WebSocket below.
  pause: ({ name }) =>
    Promise.resolve(sockets.get(name).socket.io.engine.transport.ws._socket.pause() && null),
  resume: ({ name }) =>
    Promise.resolve(sockets.get(name).socket.io.engine.transport.ws._socket.resume() && null),
  // The transport breaks, without a farewell.
  sever: ({ name }) => Promise.resolve(sockets.get(name).socket.io.engine.transport.ws.terminate() && null),
  disconnect: ({ name }) => Promise.resolve(sockets.get(name).socket.disconnect() && null),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](rest))
    .then(
      (answer) => console.log(JSON.stringify({ id, answer })),
      (error) => console.log(JSON.stringify({ id, error: String(error?.stack ?? error) })),
    );
}
process.exit(0);
