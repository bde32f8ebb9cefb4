import { createSocket, createSyncClient, onEntity } from '../../src/index.ts';
import { deferred, Refusal, ScriptedHost, turn } from '../support/scripted-host.ts';

function setUp(answer?: ConstructorParameters<typeof ScriptedHost>[0]) {
  const host = new ScriptedHost(answer);
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const say = (event: string, args: unknown[] = [], more: object = {}) => {
    host.emit(host.configs.length, { type: 'message', namespace: '/', event, args, ...more });
  };
  return { host, client, say, told: () => host.told('on', 'off') };
}

const schemaOf = <T>(validate: (value: unknown) => T) => ({
  '~standard': { version: 1 as const, vendor: 'test', validate },
});

interface Server {
  news: (item: { id: number }, bytes: Uint8Array) => void;
  ask: (question: string, answer: (said: string) => void) => void;
}

interface Mine {
  send: (text: string, file: Uint8Array) => void;
  add: (a: number, b: number, answer: (sum: number) => void) => void;
}

it('listens once for all, and not any more after the last', async () => {
  const { client, told, say } = setUp();
  const heard: unknown[] = [];
  const ends = [1, 2].map((n) => client.socket.on('news', (...args) => heard.push([n, ...args])));
  await turn();
  say('news', [7]);
  say('other', [8]);
  expect(heard).toEqual([
    [1, 7],
    [2, 7],
  ]);
  ends.forEach((end) => {
    end();
  });
  await turn();
  say('news', [9]);
  expect(heard).toHaveLength(2);
  expect(told()).toEqual([
    { type: 'on', event: 'news' },
    { type: 'off', event: 'news' },
  ]);
});

it('asks the core nothing for a listener that is taken away and put back at once', async () => {
  const { client, told } = setUp();
  const end = client.socket.on('news', () => undefined);
  await turn();
  end();
  client.socket.on('news', () => undefined);
  await turn();
  expect(told()).toEqual([{ type: 'on', event: 'news' }]);
});

it('listens again when the client is opened again, and joins its rooms again', async () => {
  const { client, host } = setUp();
  client.socket.on('news', () => undefined);
  expect(await client.socket.joinRoom('r')).toBe(true);
  await client.close();
  await client.open();
  await turn();
  const told = host.calls.filter(({ command }) => ['on', 'joinRoom'].includes(command.type));
  const each = told.map(({ client: number, command }) => `${number} ${command.type}`);
  expect(each.sort()).toEqual(['1 joinRoom', '1 on', '2 joinRoom', '2 on']);
});

it('joins no room again that was left before the core had answered, or was refused', async () => {
  const refusal = { code: 'forbidden' as const, message: 'no', retryable: false, retry: 'never' as const };
  const { client, host } = setUp((command) => {
    if (command.type === 'joinRoom' && command.room === 'refused') throw new Refusal(refusal);
    return undefined;
  });
  const refused = expect(client.socket.joinRoom('refused')).rejects.toMatchObject({ code: 'forbidden' });
  await Promise.all([client.socket.joinRoom('r'), client.socket.leaveRoom('r'), refused]);
  expect(host.told('joinRoom', 'leaveRoom')).toHaveLength(3);
  await client.close();
  await client.open();
  await turn();
  expect(host.told('joinRoom', 'leaveRoom')).toHaveLength(3);
});

it('does not repeat a join that failed as the client was closed', async () => {
  const held = deferred<undefined>();
  const { client, host } = setUp(async ({ type }, number) => {
    if (type !== 'joinRoom' || number > 1) return undefined;
    await held.promise;
    throw new Refusal({ code: 'closed', message: 'closed', retryable: false, retry: 'never' });
  });
  const joining = expect(client.socket.joinRoom('r')).rejects.toMatchObject({ code: 'closed' });
  await turn();
  await client.close();
  await client.open();
  held.resolve(undefined);
  await joining;
  await turn();
  expect(host.told('joinRoom')).toHaveLength(1);
});

it('hears an event once, by the beginning of its name, or until off', async () => {
  const { client, say } = setUp();
  const heard: unknown[] = [];
  client.socket.once('one', (...args) => heard.push(args));
  client.socket.on('activity:*', (event, ...args) => heard.push([event, ...args]));
  const listener = () => heard.push('off');
  client.socket.on('two', listener);
  client.socket.off('two', listener);
  await turn();
  ['one', 'one', 'two', 'activity:new'].forEach((event) => {
    say(event, [event.length]);
  });
  expect(heard).toEqual([[3], ['activity:new', 12]]);
});

it('carries bytes both ways, also nested, and what only looks like them', async () => {
  const answered = { file: new Uint8Array([9]), same: { $object: { $attachment: 0 } } };
  const { client, host } = setUp(({ type }) => (type === 'emitWithAck' ? { args: [answered] } : undefined));
  const file = new Uint8Array([0, 1, 2]);
  const sent = client.socket.emitWithAck('e', { file: file.subarray(1) }, file.buffer, { $bytes: 'x' }, [
    { $attachment: 0 },
    { $object: 1 },
  ]);
  expect(await sent).toEqual({ file: new Uint8Array([9]), same: { $attachment: 0 } });
  const [call] = host.calls.filter(({ command }) => command.type === 'emitWithAck');
  expect(call?.command).toEqual({
    type: 'emitWithAck',
    event: 'e',
    args: [
      { file: { $attachment: 0 } },
      { $attachment: 1 },
      { $object: { $bytes: 'x' } },
      [{ $object: { $attachment: 0 } }, { $object: { $object: 1 } }],
    ],
  });
  expect(call?.attachments).toEqual([new Uint8Array([1, 2]), file]);
  await expect(client.socket.emit('e', new Date())).rejects.toMatchObject({ code: 'invalid' });
  await expect(client.socket.emit('e', Number.NaN)).rejects.toMatchObject({ code: 'invalid' });
});

it('hears bytes, and shows what a document holds as it is, whatever it looks like', async () => {
  const { client, host, say } = setUp();
  const heard: unknown[] = [];
  client.socket.on('e', (...args: unknown[]) => heard.push(args));
  client.on('rows', ({ upserted }) => heard.push(upserted[0]?.fields));
  await turn();
  const row = { id: 'a', fields: { $attachment: 0 }, seq: 1, pending: false };
  host.emit(1, { type: 'rows', watch: 1, reset: false, upserted: [row], removed: [] });
  say('e', [[new Uint8Array([7])]]);
  expect(heard).toEqual([{ $attachment: 0 }, [[new Uint8Array([7])]]]);
});

it('sends bytes as they were when the job was queued', async () => {
  const held = deferred<undefined>();
  const { client, host } = setUp(({ type }) =>
    type === 'jobs'
      ? held.promise.then(() => ({ enqueued: [{ job: 1 }], jobs: [], more: false }))
      : undefined,
  );
  const bytes = new Uint8Array([1]);
  const first = client.queue.emit('e');
  const second = client.queue.emit('e', [bytes]);
  bytes[0] = 2;
  held.resolve(undefined);
  await Promise.all([first, second]);
  const sent = host.calls.flatMap(({ attachments }) => attachments);
  expect(sent).toEqual([new Uint8Array([1])]);
});

it('says what became of an event', async () => {
  const { client, host } = setUp(({ type }) =>
    type === 'emit' ? { sent: false, waiting: true } : undefined,
  );
  expect(await client.socket.emit('e')).toBe('waiting');
  await client.socket.volatile.emit('e');
  await client.socket.timeout(50).emitWithAck('e');
  expect(host.told('emit', 'emitWithAck').slice(1)).toEqual([
    { type: 'emit', event: 'e', args: [], volatile: true },
    { type: 'emitWithAck', event: 'e', args: [], timeoutMs: 50 },
  ]);
});

it('answers a question of the server', async () => {
  const { client, host, say } = setUp();
  createSocket<Server, Mine>(client).on('ask', (question, answer) => {
    answer(`${question}!`);
  });
  await turn();
  say('ask', ['why'], { ack: 3 });
  await turn();
  expect(host.told('ack')).toEqual([{ type: 'ack', token: 3, args: ['why!'] }]);
});

it('does not show a listener what is not valid', async () => {
  const { client, say } = setUp();
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error.message));
  const schema = schemaOf((value) =>
    typeof value === 'number' ? { value: value + 1 } : { issues: [{ message: 'not a number' }] },
  );
  const heard: unknown[] = [];
  const socket = createSocket(client, { validate: { n: schema } });
  socket.on('n', (...args) => heard.push(args));
  await turn();
  say('n', ['x']);
  say('n', [1, 'rest']);
  expect(heard).toEqual([[2, 'rest']]);
  expect(errors).toEqual(['the payload of n is not valid: not a number']);
});

it('delivers nothing that is still being checked to a listener that is gone, and an event once to `once`', async () => {
  const { client, say } = setUp();
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error.message));
  const schema = schemaOf((value) => Promise.resolve({ value }));
  const heard: unknown[] = [];
  const socket = createSocket(client, { validate: { n: schema } });
  socket.once('n', (...args) => heard.push(['once', ...args]));
  const end = socket.on('n', (...args) => heard.push(['gone', ...args]));
  socket.on('n', (n) => {
    heard.push(['on', n]);
    throw new Error('mine');
  });
  await turn();
  say('n', [1]);
  say('n', [2]);
  end();
  await turn();
  expect(heard).toEqual([
    ['once', 1],
    ['on', 1],
    ['on', 2],
  ]);
  expect(errors).toEqual(['mine', 'mine']);
});

it('does not take a mistake of one listener for one of the others', async () => {
  const { client, say } = setUp();
  const heard: unknown[] = [];
  client.socket.on('n', () => {
    throw new Error('mine');
  });
  client.socket.on('n', () => heard.push(1));
  await turn();
  say('n');
  expect(heard).toEqual([1]);
});

it('keeps namespaces apart', async () => {
  const { client, host, say } = setUp();
  const heard: unknown[] = [];
  createSocket(client, { namespace: '/chat' }).on('n', (...args) => heard.push(args));
  await turn();
  say('n', [1]);
  say('n', [2], { namespace: '/chat' });
  expect(heard).toEqual([[2]]);
  expect(host.told('on')).toEqual([{ type: 'on', event: 'n', namespace: '/chat' }]);
});

it('tells what becomes of entities', async () => {
  const { client, say } = setUp();
  const heard: unknown[] = [];
  onEntity<{ id: number }>(client.socket, 'activity', () => ({
    created: ({ id }) => heard.push(['created', id]),
    deleted: ({ id }) => heard.push(['deleted', id]),
  }));
  await turn();
  ['activity:create', 'activity:updated', 'activity:deleted', 'activity:other'].forEach((event) => {
    say(event, [{ id: 1 }]);
  });
  expect(heard).toEqual([
    ['created', 1],
    ['deleted', 1],
  ]);
});
