import type { JobInfo } from '../../src/contract.ts';
import { JobList } from '../../src/job-list.ts';
import { Store } from '../../src/observable.ts';
import { deferred, turn } from '../support/scripted-host.ts';

const job = (number: number, attempts = 0): JobInfo => ({
  job: number,
  work: { event: { name: 'a', args: [] } },
  lane: 'event:a',
  state: 'waiting',
  priority: 0,
  after: [],
  attempts,
  attemptsMax: 3,
  queuedAtMs: 0,
  expiresAtMs: null,
  idempotencyKey: 'k',
  error: null,
});

it('is read anew when the figures of the queue change, and only while somebody looks', async () => {
  const figures = new Store('1');
  let reads = 0;
  const list = new JobList(() => {
    reads += 1;
    return Promise.resolve([job(1), job(2, reads)]);
  }, figures);
  figures.set('2');
  expect(reads).toBe(0);
  const end = list.subscribe(() => undefined);
  await turn();
  const [first] = list.get();
  figures.set('3');
  await turn();
  expect(reads).toBe(2);
  expect(list.get()).toEqual([job(1), job(2, 2)]);
  // What did not change is the same object.
  expect(list.get()[0]).toBe(first);
  end();
  figures.set('4');
  await turn();
  expect(reads).toBe(2);
});

it('reads once more when it is asked while it reads, and forgets what ended meanwhile', async () => {
  const answers = [deferred<JobInfo[]>(), deferred<JobInfo[]>()];
  let reads = 0;
  const list = new JobList(() => answers[reads++]?.promise ?? Promise.resolve([]), new Store(0));
  const end = list.subscribe(() => undefined);
  list.handleEnd(1);
  answers[0]?.resolve([job(1), job(2)]);
  await turn();
  expect(list.get()).toEqual([job(2)]);
  expect(reads).toBe(1);

  list.refresh();
  list.refresh();
  expect(reads).toBe(2);
  answers[1]?.resolve([job(2), job(3)]);
  await turn();
  expect(reads).toBe(3);
  expect(list.get()).toEqual([]);
  end();
});

it('shows what it knew last when it cannot be read', async () => {
  let fails = false;
  const list = new JobList(
    () => (fails ? Promise.reject(new Error('closed')) : Promise.resolve([job(1)])),
    new Store(0),
  );
  const end = list.subscribe(() => undefined);
  await turn();
  fails = true;
  list.refresh();
  await turn();
  expect(list.get()).toEqual([job(1)]);
  fails = false;
  list.handleEnd(1);
  expect(list.get()).toEqual([]);
  end();
});
