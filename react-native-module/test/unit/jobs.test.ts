import type { Channel } from '../../src/channel.ts';
import type { Command, DeadLetter, JobCommand, JobEvent } from '../../src/contract.ts';
import { EMPTY_QUEUE } from '../../src/idle.ts';
import { JobFailure, JobQueue } from '../../src/jobs.ts';
import { Store } from '../../src/observable.ts';
import { turn } from '../support/scripted-host.ts';

/** A core that answers what the test says, and notes what it was asked. */
function scripted(answer: (command: JobCommand) => unknown) {
  const asked: JobCommand[] = [];
  const call = (command: Command): Promise<unknown> => {
    if (command.type !== 'jobs') throw new Error(command.type);
    asked.push(command.command);
    return Promise.resolve(answer(command.command));
  };
  const channel = { call } as unknown as Channel;
  const queue = new JobQueue(() => Promise.resolve(channel), new Store(EMPTY_QUEUE));
  const sent = (type: JobCommand['type']) => asked.filter((command) => command.type === type);
  return { queue, sent, channel };
}

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

const done: JobEvent = {
  type: 'done',
  outcome: { job: 1, kind: 'event', lane: 'event:a', result: ['ok'], kept: false },
};

const deadLetter = (job: number): DeadLetter => ({
  job,
  work: { event: { name: 'a', args: [] } },
  lane: 'event:a',
  reason: 'refused',
  error: { category: 'VALIDATION', code: 'invalid', message: 'no', status: 422 },
  attempts: 1,
  holdsLane: false,
  queuedAtMs: 0,
  diedAtMs: 0,
});

const flush = () => new Promise((resolve) => setImmediate(resolve));

test('a handler runs what is leased to it and completes it with its result', async () => {
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', (payload, { idempotencyKey }) => Promise.resolve([payload, idempotencyKey]));
  queue.handleEvent(leased);
  await flush();
  expect(sent('registerHandlers')).toEqual([{ type: 'registerHandlers', keys: ['upload'] }]);
  expect(sent('complete')).toEqual([{ type: 'complete', job: 1, lease: 7, result: [{ file: 'a' }, 'k'] }]);
});

test.each([
  [new JobFailure('SERVER', 'busy', { retryAfterMs: 5 }), { category: 'SERVER', retryAfterMs: 5 }],
  [Object.assign(new Error('no'), { status: 422 }), { category: 'VALIDATION', code: '422' }],
  [Object.assign(new Error('no'), { status: 401 }), { category: 'AUTH' }],
  [new TypeError('Network request failed'), { category: 'NETWORK' }],
  ['odd', { category: 'UNKNOWN', message: 'odd' }],
])('a handler that throws %p fails its job', async (thrown, expected) => {
  const { queue, sent } = scripted(() => ({}));
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what JavaScript code does
  queue.handle('upload', () => Promise.reject(thrown));
  queue.handleEvent(leased);
  await flush();
  expect(sent('fail')).toMatchObject([{ job: 1, lease: 7, ...expected }]);
});

test('a function that is taken away before the client is open is not registered, and opens none', async () => {
  const { queue, sent, channel } = scripted(() => ({ deadLetters: [] }));
  queue.handle('upload', () => Promise.resolve())();
  await flush();
  expect(sent('registerHandlers')).toEqual([{ type: 'registerHandlers', keys: [] }]);
  queue.attach(channel);
  const end = queue.handle('upload', () => Promise.resolve());
  await flush();
  queue.detach();
  end();
  await flush();
  expect(sent('registerHandlers').slice(1)).toEqual([{ type: 'registerHandlers', keys: ['upload'] }]);
});

test('a handler whose result cannot be kept is not run again', async () => {
  const { queue, sent } = scripted(() => ({}));
  queue.handle('upload', () => Promise.resolve(() => 'a function'));
  queue.handleEvent(leased);
  await flush();
  expect(sent('fail')).toMatchObject([{ job: 1, lease: 7, category: 'VALIDATION', code: 'invalid' }]);
});

test('the end of a job is heard of, also when it comes before the answer to its enqueueing', async () => {
  const ends: string[] = [];
  const early = scripted(() => {
    early.queue.handleEvent(done);
    return { enqueued: [{ job: 1, duplicate: false }] };
  });
  await early.queue.enqueue({ work: { event: { name: 'a', args: [] } } }, ({ type }) => ends.push(type));
  const late = scripted(() => ({ enqueued: [{ job: 1, duplicate: false }] }));
  await late.queue.enqueue({ work: { event: { name: 'a', args: [] } } }, ({ type }) => ends.push(type));
  late.queue.handleEvent(done);
  late.queue.handleEvent(done);
  expect(ends).toEqual(['done', 'done']);
});

test('a request is queued as the core wants it', async () => {
  const { queue, sent } = scripted(() => ({ enqueued: [{ job: 1, duplicate: false }] }));
  await queue.add({ endpoint: '/orders', data: { item: 7 } }, { priority: 2 });
  const work = { request: { method: 'POST', url: '/orders', body: { item: 7 } } };
  expect(sent('enqueue')).toEqual([{ type: 'enqueue', jobs: [{ priority: 2, work }] }]);
});

test('dead letters are listed until they are retried or dropped', async () => {
  const { queue } = scripted(() => ({}));
  for (const job of [1, 2, 1]) queue.handleEvent({ type: 'dead', letter: deadLetter(job) });
  expect(queue.deadLetters.get().map(({ job }) => job)).toEqual([2, 1]);
  await queue.retry(1);
  await queue.drop(2);
  expect(queue.deadLetters.get()).toEqual([]);
});

test('a job that is given up again while it is retried stays among the dead letters', async () => {
  const letter = deadLetter(1);
  const { queue } = scripted(({ type }) => {
    if (type === 'retry') queue.handleEvent({ type: 'dead', letter: { ...letter, attempts: 2 } });
    return {};
  });
  queue.handleEvent({ type: 'dead', letter });
  await queue.retry(1);
  expect(queue.deadLetters.get()).toMatchObject([{ job: 1, attempts: 2 }]);
});

test('who waits for the end of a job hears that it was dropped or cleared', async () => {
  let last = 0;
  const ends: string[] = [];
  const { queue } = scripted(({ type }) => {
    if (type === 'enqueue') return { enqueued: [{ job: ++last, duplicate: false }] };
    if (type === 'list') return { jobs: [{ job: 3, work: { event: { name: 'c', args: [] } } }], more: false };
    return { cleared: 1 };
  });
  for (const name of ['a', 'b', 'c']) {
    await queue.enqueue({ work: { event: { name, args: [] } } }, ({ type }) => ends.push(`${name} ${type}`));
  }
  await queue.drop(1);
  expect(ends).toEqual(['a dropped']);
  await queue.clear();
  expect(ends).toEqual(['a dropped', 'b dropped']);
});

it('queues jobs in the order in which they were asked for, one after the other', async () => {
  const answers: (() => void)[] = [];
  let next = 0;
  const { queue, sent } = scripted((command) =>
    command.type === 'enqueue'
      ? new Promise((resolve) => {
          answers.push(() => {
            resolve({ enqueued: [{ job: (next += 1), duplicate: false }] });
          });
        })
      : {},
  );
  const first = queue.emit('a');
  const second = queue.emit('b');
  await turn();
  // A host with many threads might otherwise overtake the first with the second.
  expect(sent('enqueue')).toHaveLength(1);
  answers[0]?.();
  expect(await first).toMatchObject({ job: 1 });
  await turn();
  answers[1]?.();
  expect(await second).toMatchObject({ job: 2 });
  expect(sent('enqueue')).toMatchObject([
    { jobs: [{ work: { event: { name: 'a' } } }] },
    { jobs: [{ work: { event: { name: 'b' } } }] },
  ]);
});
