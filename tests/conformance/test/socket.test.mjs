// The app's own events over npm socket.io, with either parser.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PARSERS, Sockets } from '../support/sockets.mjs';
import { until } from '../support/until.mjs';

const bytes = (...values) => ({ $bytes: Buffer.from(values).toString('base64') });

function scenario(name, options, run) {
  for (const parser of PARSERS) {
    test(`${parser}: ${name}`, async (context) => run(await Sockets.start(context, { parser, ...options })));
  }
}

const open = (device) => until(() => device.connection.state === 'open');

/** Echoes, rooms as in many a tutorial, and a question for the client. */
function chat(io) {
  io.on('connection', (socket) => {
    socket.on('echo', (...args) => args.pop()(...args));
    socket.on('silence', () => {});
    socket.on('heard', (...args) => io.emit('said', ...args));
    socket.on('room:join', async ({ room }, answer) => {
      if (room === 'closed') return answer({ error: { code: 'forbidden', message: 'not for you' } });
      await socket.join(room);
      answer({ ok: true });
    });
    socket.on('room:leave', async ({ room }, answer) => {
      await socket.leave(room);
      answer({ ok: true });
    });
    socket.on('room:say', ({ room }, ...args) => io.to(room).emit('room:said', ...args));
    socket.on('ask me', async (answer) =>
      answer(await socket.timeout(5000).emitWithAck('question', { n: 1 })),
    );
  });
}

scenario('every kind of argument comes back as it went', { setUp: chat }, async (sockets) => {
  const device = await sockets.device();
  const args = [
    null,
    true,
    -7,
    0.5,
    2 ** 53,
    'ü',
    [],
    {},
    bytes(0, 255, 1),
    { file: { name: 'a', data: bytes(1, 2) }, list: [bytes(), [bytes(3)]] },
    { $object: { $bytes: 'not bytes' } },
  ];
  const { args: answered } = await device.call('emitWithAck', { event: 'echo', args });
  assert.deepEqual(answered, args);
});

scenario(
  'an event reaches everybody, a peer of npm too, and the other way',
  { setUp: chat },
  async (sockets) => {
    const device = await sockets.device();
    const peer = await sockets.peer();
    const heard = [];
    peer.on('said', (...args) => heard.push(args));
    await device.call('on', { event: 'said' });
    await open(device);
    assert.deepEqual(await device.call('emit', { event: 'heard', args: [bytes(7), { n: 1 }] }), {
      sent: true,
      waiting: false,
    });
    peer.emit('heard', { data: Buffer.from([8, 9]) });
    await until(() => heard.length === 2 && device.heard('said').length === 2);
    const mine = heard.find((args) => args.length === 2);
    assert.deepEqual([...mine[0]], [7]);
    assert.deepEqual(
      device.heard('said').find((args) => args.length === 1),
      [{ data: bytes(8, 9) }],
    );
  },
);

scenario(
  'a room is shared with a peer, joined again after a loss, and left',
  { setUp: chat },
  async (sockets) => {
    const device = await sockets.device();
    const peer = await sockets.peer();
    await open(device);
    await device.call('on', { event: 'room:*' });
    assert.deepEqual(await device.call('joinRoom', { room: 'r1' }), { joined: true });
    await assert.rejects(device.call('joinRoom', { room: 'closed' }), {
      code: 'forbidden',
      message: 'not for you',
    });
    const heard = [];
    peer.on('room:said', (...args) => heard.push(args));
    await peer.emitWithAck('room:join', { room: 'r1' });
    await device.call('emit', { event: 'room:say', args: [{ room: 'r1' }, 'from the device', bytes(1)] });
    peer.emit('room:say', { room: 'r1' }, 'from the peer');
    await until(() => heard.length === 2 && device.heard('room:said').length === 2);

    sockets.link.cut();
    await until(() => device.connections.some(({ state }) => state === 'backoff'));
    await open(device);
    await until(() => sockets.io.sockets.adapter.rooms.get('r1')?.size === 2);
    peer.emit('room:say', { room: 'r1' }, 'again');
    await until(() => device.heard('room:said').length === 3);

    await device.call('leaveRoom', { room: 'r1' });
    assert.equal(sockets.io.sockets.adapter.rooms.get('r1').size, 1);
  },
);

scenario(
  'an answer that does not come is a timeout, and one to the server is heard',
  { setUp: chat },
  async (sockets) => {
    const device = await sockets.device();
    await open(device);
    await assert.rejects(device.call('emitWithAck', { event: 'silence', timeoutMs: 50 }), {
      code: 'timeout',
    });
    await device.call('on', { event: 'question' });
    const asked = device.call('emitWithAck', { event: 'ask me' });
    await until(() => device.messages.length === 1);
    const [{ args, ack }] = device.messages;
    assert.deepEqual(args, [{ n: 1 }]);
    await device.call('ack', { token: ack, args: [{ answer: bytes(4) }] });
    assert.deepEqual((await asked).args, [{ answer: bytes(4) }]);
    await assert.rejects(device.call('ack', { token: ack }), { code: 'not_found' });
    assert.equal((await device.call('stats')).reconnects, 1);
  },
);

scenario(
  'what is emitted without a connection waits, unless it is volatile',
  { setUp: chat },
  async (sockets) => {
    const device = await sockets.device({ autoConnect: false });
    await device.call('on', { event: 'said' });
    const volatile = await device.call('emit', { event: 'heard', args: ['volatile'], volatile: true });
    assert.deepEqual(volatile, { sent: false, waiting: false });
    for (const n of [1, 2]) {
      assert.deepEqual(await device.call('emit', { event: 'heard', args: [n] }), {
        sent: false,
        waiting: true,
      });
    }
    const asked = device.call('emitWithAck', { event: 'echo', args: ['later'] });
    await device.call('connect');
    assert.deepEqual((await asked).args, ['later']);
    await until(() => device.heard('said').length === 2);
    assert.deepEqual(device.heard('said'), [[1], [2]]);
    assert.deepEqual(await device.call('emit', { event: 'heard', args: [3], volatile: true }), {
      sent: true,
      waiting: false,
    });
    await until(() => device.heard('said').length === 3);
  },
);

function withToken(io) {
  io.use((socket, next) => {
    const { token } = socket.handshake.auth;
    if (token === 'good') return next();
    const error = new Error('the token is old');
    error.data = { code: 'TOKEN_OLD', since: 7, nested: { why: ['a'] } };
    next(error);
  });
  chat(io);
}

scenario(
  'a refusal of the middleware arrives with its data, and a new token is taken',
  { setUp: withToken },
  async (sockets) => {
    const device = await sockets.device({
      token: 'bad',
      autoConnect: false,
      settings: { tokenRequired: true, authErrorCodes: ['TOKEN_OLD'] },
    });
    await assert.rejects(device.call('connect'), { code: 'unauthorized', message: 'the token is old' });
    const { state, cause, data, reason } = await device.call('connection');
    assert.deepEqual([state, cause, reason.message], ['unauthorized', 'refused', 'the token is old']);
    assert.deepEqual(data, { code: 'TOKEN_OLD', since: 7, nested: { why: ['a'] } });
    await until(() => device.tokensNeeded.length === 1);
    await device.call('setToken', { token: 'good' });
    await open(device);
    const opened = await device.call('connection');
    assert.deepEqual([opened.cause, opened.data, opened.reason], [null, null, null]);
  },
);

function withNamespaces(io) {
  chat(io);
  io.of('/admin').use((socket, next) => {
    if (socket.handshake.auth.key === 'open sesame') return next();
    next(Object.assign(new Error('admins only'), { data: { code: 'forbidden', contact: 'root' } }));
  });
  for (const name of ['/admin', '/news']) {
    io.of(name).on('connection', (socket) => {
      socket.on('echo', (...args) => args.pop()(name, ...args));
      socket.on('go', () => socket.disconnect());
      socket.emit('welcome', name);
    });
  }
}

scenario(
  'namespaces share the connection, and each has its own life',
  { setUp: withNamespaces },
  async (sockets) => {
    const device = await sockets.device();
    await open(device);
    await device.call('on', { namespace: '/news', event: 'welcome' });
    await until(() => device.heard('welcome', '/news').length === 1);
    const echoed = await device.call('emitWithAck', { namespace: '/news', event: 'echo', args: [bytes(1)] });
    assert.deepEqual(echoed.args, ['/news', bytes(1)]);

    await assert.rejects(device.call('connectNamespace', { namespace: '/admin' }), { code: 'forbidden' });
    await until(() =>
      device.namespaces.some(({ namespace, cause }) => namespace === '/admin' && cause === 'refused'),
    );
    assert.deepEqual(device.namespace('/admin').data, { code: 'forbidden', contact: 'root' });
    const opened = await device.call('connectNamespace', {
      namespace: '/admin',
      auth: { key: 'open sesame' },
    });
    assert.equal(opened.state, 'open');
    await assert.rejects(device.call('connectNamespace', { namespace: '/nowhere' }), /Invalid namespace/);

    await device.call('emit', { namespace: '/news', event: 'go' });
    await until(() => device.namespaces.some(({ cause }) => cause === 'namespace_disconnect'));
    assert.equal(device.connection.state, 'open');
    assert.equal((await device.call('stats')).reconnects, 1);
    await device.call('connectNamespace', { namespace: '/news' });
    await until(() => device.heard('welcome', '/news').length === 2);

    sockets.link.cut();
    await until(() => device.heard('welcome', '/news').length === 3);
    await until(() => device.namespace('/news').state === 'open');
    await device.call('disconnectNamespace', { namespace: '/news' });
    await until(() => sockets.io.of('/news').sockets.size === 0);
    assert.deepEqual((await device.call('emitWithAck', { event: 'echo', args: [1] })).args, [1]);
  },
);

scenario(
  'the main session can be in another namespace than the default',
  { setUp: withNamespaces },
  async (sockets) => {
    const device = await sockets.device({ namespace: '/news' });
    await open(device);
    assert.deepEqual((await device.call('emitWithAck', { event: 'echo', args: [1] })).args, ['/news', 1]);
    assert.deepEqual(
      (await device.call('emitWithAck', { namespace: '/', event: 'echo', args: [2] })).args,
      [2],
    );
  },
);

const RECOVERY = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 }, setUp: withNamespaces };

scenario('a session that was lost goes on, with what was missed', RECOVERY, async (sockets) => {
  const device = await sockets.device();
  await device.call('on', { event: 'news' });
  await device.call('on', { event: 'news', namespace: '/news' });
  await open(device);
  await until(() => device.namespace('/news')?.state === 'open');
  await device.call('joinRoom', { room: 'r1' });
  const say = (n) => {
    sockets.io.to('r1').emit('news', n, { data: Buffer.from([n]) });
    sockets.io.of('/news').emit('news', n);
  };
  say(1);
  const both = (count) => () =>
    device.heard('news').length === count && device.heard('news', '/news').length === count;
  await until(both(1));
  assert.equal(device.connection.recovered, false);
  const sids = [...sockets.io.sockets.sockets.keys()];

  sockets.link.hold();
  sockets.link.cut();
  await until(() => sockets.io.sockets.sockets.size === 0 && sockets.io.of('/news').sockets.size === 0);
  say(2);
  say(3);
  sockets.link.release();
  await until(both(3));
  const heard = device.heard('news').map(([n, body]) => [n, body]);
  assert.deepEqual(
    heard,
    [1, 2, 3].map((n) => [n, { data: bytes(n) }]),
  );
  assert.deepEqual(
    device.heard('news', '/news').map(([n]) => n),
    [1, 2, 3],
  );
  await until(() => device.connection.recovered);
  assert.equal(device.namespace('/news').recovered, true);
  assert.deepEqual([...sockets.io.sockets.sockets.keys()], sids);
});

const jwt = (claims) =>
  ['{"alg":"none"}', JSON.stringify(claims), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');

scenario(
  "a refreshed token goes on with the session, and another user's does not",
  RECOVERY,
  async (sockets) => {
    const device = await sockets.device({ token: jwt({ sub: 'ada', exp: 4e9 }) });
    await device.call('on', { event: 'news' });
    await open(device);
    sockets.io.emit('news', 1);
    await until(() => device.heard('news').length === 1);
    const sids = [...sockets.io.sockets.sockets.keys()];

    await device.call('setToken', { token: jwt({ sub: 'ada', exp: 4e9 + 1 }) });
    await until(() => device.connection.recovered);
    assert.deepEqual([...sockets.io.sockets.sockets.keys()], sids);
    sockets.io.emit('news', 2);
    await until(() => device.heard('news').length === 2);

    await device.call('setToken', { token: jwt({ sub: 'eve', exp: 4e9 }) });
    await until(() => device.connection.state === 'open' && !device.connection.recovered);
    await until(() => !sockets.io.sockets.sockets.has(sids[0]));
  },
);

scenario('a session that the server does not know any more begins anew', RECOVERY, async (sockets) => {
  const device = await sockets.device();
  await device.call('on', { event: 'news' });
  await open(device);
  sockets.io.emit('news', 1);
  await until(() => device.heard('news').length === 1);
  await sockets.restart();
  await until(() => sockets.io.sockets.sockets.size === 1);
  await open(device);
  assert.equal((await device.call('connection')).recovered, false);
  sockets.io.emit('news', 2);
  await until(() => device.heard('news').length === 2);
});

scenario('the end of a connection is told with its cause', { setUp: chat }, async (sockets) => {
  const device = await sockets.device();
  const causes = () => device.connections.map(({ cause }) => cause).filter((cause) => cause !== null);
  const ended = async (cause, end) => {
    await open(device);
    device.connections.length = 0;
    await end();
    await until(
      () => causes().includes(cause),
      () => device.connections,
    );
  };
  const socket = () => [...sockets.io.sockets.sockets.values()][0];
  await ended('server_disconnect', () => socket().disconnect());
  await until(() => sockets.io.sockets.sockets.size === 1);
  await ended('server_disconnect', () => socket().disconnect(true));
  await until(() => sockets.io.sockets.sockets.size === 1);
  await ended('transport_closed', () => socket().conn.close());
  await ended('transport_closed', () => sockets.link.cut());
  await ended('ping_timeout', () => sockets.link.mute());
  await ended('transport_closed', () => sockets.restart());
  await ended('token_changed', () => device.call('setToken', { token: 'another' }));
  await ended('client_disconnect', () => device.call('disconnect'));
});

scenario('messages that are not taken are limited', { setUp: chat }, async (sockets) => {
  const device = await sockets.device({ settings: { inboxBytesMax: 1000 } });
  await device.call('on', { event: 'said' });
  await open(device);
  await device.call('emit', { event: 'heard', args: ['x'.repeat(2000)] });
  await until(() => device.errors.some(({ code }) => code === 'queue_full'));
  await device.call('emit', { event: 'heard', args: ['y'] });
  await until(() => device.heard('said').length === 1);
});
