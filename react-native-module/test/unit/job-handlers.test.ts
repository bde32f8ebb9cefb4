import type { JobEvent } from '../../src/contract.ts';
import { JobFailure, SynclineError } from '../../src/index.ts';
import { deferred, turn } from '../support/scripted-host.ts';
import { scripted } from '../support/scripted-queue.ts';

const leased: JobEvent = {
  type: 'leased',
  job: 1,
  lease: 7,
  leaseMs: 60_000,
  key: 'upload',
  payload: { file: 'a' },
  idempotencyKey: 'k',
  attempts: 0,
};

test('a handler runs what is leased to it and completes it with its result', async () => {
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', (payload, { idempotencyKey }) => Promise.resolve([payload, idempotencyKey]));
  queue.handleEvent(leased);
  await turn();
  expect(sent('registerHandlers')).toEqual([{ type: 'registerHandlers', keys: ['upload'] }]);
  expect(sent('complete')).toEqual([{ type: 'complete', job: 1, lease: 7, result: [{ file: 'a' }, 'k'] }]);
});

test.each([
  [new JobFailure('SERVER', 'busy', { retryAfterMs: 5 }), { category: 'SERVER', retryAfterMs: 5 }],
  [Object.assign(new Error('no'), { status: 422 }), { category: 'VALIDATION', code: '422' }],
  [Object.assign(new Error('no'), { status: 401 }), { category: 'AUTH' }],
  [Object.assign(new Error('no'), { status: 407 }), { category: 'NETWORK' }],
  [Object.assign(new Error('no'), { status: 429 }), { category: 'SERVER' }],
  [new TypeError('Network request failed'), { category: 'NETWORK' }],
  [new TypeError('NetworkError when attempting to fetch resource.'), { category: 'NETWORK' }],
  [new Error('fetch failed: the host has no address'), { category: 'NETWORK' }],
  [new Error('fetch failed: The operation was aborted.'), { category: 'UNKNOWN' }],
  [new TypeError("Cannot read properties of undefined (reading 'id')"), { category: 'UNKNOWN' }],
  ['odd', { category: 'UNKNOWN', message: 'odd' }],
])('a handler that throws %p fails its job', async (thrown, expected) => {
  const { queue, sent } = scripted(() => ({}));
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what JavaScript code does
  queue.handle('upload', () => Promise.reject(thrown));
  queue.handleEvent(leased);
  await turn();
  expect(sent('fail')).toMatchObject([{ job: 1, lease: 7, ...expected }]);
});

test('a function that is taken away before the client is open is not registered, and opens none', async () => {
  const { queue, sent, channel } = scripted(() => ({ deadLetters: [] }));
  queue.handle('upload', () => Promise.resolve())();
  await turn();
  expect(sent('registerHandlers')).toEqual([{ type: 'registerHandlers', keys: [] }]);
  queue.attach(channel);
  const end = queue.handle('upload', () => Promise.resolve());
  await turn();
  queue.detach();
  end();
  await turn();
  expect(sent('registerHandlers').slice(1)).toEqual([{ type: 'registerHandlers', keys: ['upload'] }]);
});

test('a handler whose result cannot be kept is not run again', async () => {
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', () => Promise.resolve(() => 'a function'));
  queue.handleEvent(leased);
  await turn();
  expect(sent('fail')).toMatchObject([{ job: 1, lease: 7, category: 'VALIDATION', code: 'invalid' }]);
});

test('of several functions of a key the last does the jobs, and the others when it is taken away', async () => {
  const { queue, sent, channel } = scripted(() => ({ deadLetters: [] }));
  queue.attach(channel);
  const same = () => Promise.resolve('same');
  const ends = [
    queue.handle('upload', same),
    queue.handle('upload', () => Promise.resolve('other')),
    queue.handle('upload', same),
  ];
  const doneBy = async () => {
    queue.handleEvent(leased);
    await turn();
    return (sent('complete').at(-1) as { result: unknown }).result;
  };
  await turn();
  expect(await doneBy()).toBe('same');
  ends[2]?.();
  ends[2]?.();
  expect(await doneBy()).toBe('other');
  ends[0]?.();
  expect(await doneBy()).toBe('other');
  expect(sent('registerHandlers').at(-1)).toEqual({ type: 'registerHandlers', keys: ['upload'] });
  ends[1]?.();
  expect(sent('registerHandlers').at(-1)).toEqual({ type: 'registerHandlers', keys: [] });
});

const over = () => new SynclineError({ code: 'conflict', message: 'the lease is over', retry: 'never' });

test('a handler that outlives its lease is not run again, and completes its job under the next one', async () => {
  const result = deferred<string>();
  const run = jest.fn(() => result.promise);
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', run);
  queue.handleEvent(leased);
  queue.handleEvent({ ...leased, lease: 8 });
  result.resolve('done');
  await turn();
  expect(run).toHaveBeenCalledTimes(1);
  expect(sent('complete')).toEqual([{ type: 'complete', job: 1, lease: 8, result: 'done' }]);

  // Done, and offered once more: that is another attempt.
  queue.handleEvent({ ...leased, lease: 9 });
  await turn();
  expect(run).toHaveBeenCalledTimes(2);
});

test.each(['before', 'after'])(
  'what a handler did is kept when its lease ended with it, %s the next lease is told',
  async (order) => {
    const run = jest.fn(() => Promise.resolve('done'));
    const { queue, sent } = scripted((command) => {
      if (command.type !== 'complete' || command.lease !== 7) return {};
      if (order === 'after') queue.handleEvent({ ...leased, lease: 8 });
      return Promise.reject(over());
    });
    queue.handle('upload', run);
    queue.handleEvent(leased);
    await turn();
    if (order === 'before') queue.handleEvent({ ...leased, lease: 8 });
    await turn();
    expect(run).toHaveBeenCalledTimes(1);
    expect(sent('complete')).toMatchObject([{ lease: 7 }, { lease: 8, result: 'done' }]);
    expect(sent('fail')).toEqual([]);
  },
);

test('a job that does other work is run for it, also while the work before it goes on', async () => {
  const result = deferred<string>();
  const files: unknown[] = [];
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', (payload) => {
    files.push(payload);
    return result.promise;
  });
  queue.handleEvent(leased);
  queue.handleEvent({ ...leased, lease: 8, idempotencyKey: 'other', payload: { file: 'b' } });
  expect(files).toEqual([{ file: 'a' }, { file: 'b' }]);
  result.resolve('done');
  await turn();
  expect(sent('complete')).toMatchObject([{ lease: 7 }, { lease: 8 }]);
});
