// A device: a process of its own with one client, which does what its parent asks for.

import { Client, nowMs, setNetwork } from './facade.mjs';

/** How long a condition may stay away while no event arrives. */
const QUIET_MS_MAX = 20_000;

let client;
let room;

const methods = {
  async open({ config, room: name, collections, online }) {
    room = name;
    setNetwork(online);
    client = await Client.open({ ...config, autoConnect: false });
    for (const collection of collections) {
      await client.watch(room, collection);
    }
    if (online) {
      await client.call({ type: 'connect' });
    }
    await client.call({ type: 'presenceJoin', room, state: { device: config.directory } });
  },

  async goOffline() {
    setNetwork(false);
    await client.call({ type: 'disconnect' });
  },

  /** Resolves to the milliseconds until everything was sent and the room is live again. */
  async goOnline() {
    const begin = nowMs();
    setNetwork(true);
    await client.call({ type: 'connect' });
    await until(conditions.settled, {});
    return nowMs() - begin;
  },

  /** All or nothing. */
  async write({ writes }) {
    await client.call({ type: 'write', writes: inRoom(writes) });
  },

  /** One after the other; resolves to how long each took until it was durable, in microseconds. */
  async writeEach({ writes }, report) {
    const durations = [];
    for (const write of inRoom(writes)) {
      const begin = nowMs();
      await client.call({ type: 'write', writes: [write] });
      durations.push((nowMs() - begin) * 1000);
      report(durations.length);
    }
    return durations;
  },

  /** Makes one write; resolves to when it began. */
  async writeAt({ write }) {
    const begin = nowMs();
    await client.call({ type: 'write', writes: inRoom([write]) });
    return begin;
  },

  async until({ condition, ...parameters }, report) {
    await until(conditions[condition], parameters, report);
    return nowMs();
  },

  newIds: async ({ count }) => {
    const ids = [];
    for (let made = 0; made < count; made += 1) {
      ids.push((await client.call({ type: 'newId' })).id);
    }
    return ids;
  },

  rows: async () =>
    [...client.rows].flatMap(([collection, rows]) =>
      [...rows.values()].map((row) => ({ collection, ...row })),
    ),

  stats: () => client.call({ type: 'stats' }),
  outcomes: () => client.call({ type: 'outcomes' }),
  close: () => client.call({ type: 'close' }),
};

/** Each tells whether it holds, and how far it has come. */
const conditions = {
  settled: () => ({
    holds: client.queue.count === 0 && client.room.state === 'live' && client.room.complete,
    count: client.queue.count,
  }),
  drained: ({ count }) => ({ holds: client.queue.count <= count, count: client.queue.count }),
  members: ({ count }) => ({ holds: client.members.length === count, count: client.members.length }),
  rowCount: ({ collection, count }) => {
    const rows = client.rows.get(collection).size;
    return { holds: rows === count, count: rows };
  },
  value: ({ collection, id, field, value }) => ({
    holds: client.rows.get(collection).get(id)?.fields[field] === value,
    count: 0,
  }),
  /** Whether the rows are the server's, by the sequence number of each: `[collection, id, seq]`. */
  caughtUp: ({ documents }) => {
    const current = documents.filter(([collection, id, seq]) => {
      const row = client.rows.get(collection)?.get(id);
      return row !== undefined && row.seq === seq && !row.pending;
    }).length;
    const rows = [...client.rows.values()].reduce((sum, each) => sum + each.size, 0);
    return { holds: current === documents.length && rows === current, count: current };
  },
};

function inRoom(writes) {
  return writes.map((write) => ({ room, ...write }));
}

/** Waits for the events that make a condition hold; gives up when none arrives for a while. */
function until(condition, parameters, report = () => {}) {
  return new Promise((resolve, reject) => {
    let timer;
    const end = (finish, result) => {
      clearTimeout(timer);
      stop();
      finish(result);
    };
    const check = () => {
      const { holds, count } = condition(parameters);
      report(count);
      if (holds) {
        end(resolve);
        return;
      }
      clearTimeout(timer);
      timer = setTimeout(() => {
        const state = JSON.stringify({
          queue: client.queue,
          room: client.room,
          members: client.members.length,
          count,
        });
        end(reject, new Error(`nothing happened for ${QUIET_MS_MAX} ms while waiting: ${state}`));
      }, QUIET_MS_MAX);
    };
    const stop = client.listen(check);
    check();
  });
}

process.on('message', async ({ call, method, parameters }) => {
  try {
    const result = await methods[method](parameters, (progress) => process.send({ call, progress }));
    process.send({ call, result });
  } catch (error) {
    process.send({ call, error: { code: error.code, message: error.message } });
  }
});

// Without its parent it has nothing to do.
process.on('disconnect', () => process.exit());
