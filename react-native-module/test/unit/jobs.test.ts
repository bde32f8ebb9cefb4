import type { DeadLetter, JobEvent } from '../../src/contract.ts';
import { turn } from '../support/scripted-host.ts';
import { scripted } from '../support/scripted-queue.ts';

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

test('one who is gone leaves its jobs to the next of its kind, and one who comes back keeps them', async () => {
  const work = { event: { name: 'a', args: [] } };
  const { queue } = scripted(({ type }) =>
    type === 'enqueue'
      ? { enqueued: [{ job: 1, duplicate: false }] }
      : { jobs: [{ job: 1, work }], more: false },
  );
  queue.jobs.subscribe(() => undefined);
  const told: string[] = [];
  const waiter = (name: string, kind: string, isGone: () => boolean) =>
    [
      ({ type }: { type: string }) => told.push(`${name} ${type}`),
      { kind, isGone, onTaken: () => told.push(`${name} taken`) },
    ] as const;
  let isGone = false;
  await queue.enqueue({ work }, ...waiter('first', 'orders', () => isGone));
  await turn();
  const second = waiter('second', 'orders', () => false);
  expect(queue.adopt(1, ...second)).toBe(false);
  isGone = true;
  expect(queue.adopt(1, ...waiter('other', 'others', () => false))).toBe(false);
  expect(queue.adopt(1, () => undefined)).toBe(false);
  expect(queue.adopt(1, ...second)).toBe(true);
  isGone = false;
  expect(queue.adopt(1, ...waiter('first', 'orders', () => false))).toBe(false);
  queue.handleEvent(done);
  expect(told).toEqual(['first taken', 'second done']);
});
