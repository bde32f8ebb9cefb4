import type { JobEvent } from '../../src/contract.ts';
import { JobFailure } from '../../src/index.ts';
import { turn } from '../support/scripted-host.ts';
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
