import type { WriteRequest } from '../../src/index.ts';
import { WriteQueue } from '../../src/writes.ts';

function write(id: string): WriteRequest {
  return { room: 'r', collection: 'c', id, write: 'delete' };
}

/** A core that numbers writes, refuses batches with the id `bad`, and keeps what it was sent. */
function setUp() {
  const sent: string[][] = [];
  let clientSeq = 0;
  const queue = new WriteQueue(async (writes) => {
    const ids = writes.map(({ id }) => id);
    sent.push(ids);
    await Promise.resolve();
    if (ids.includes('bad')) throw new Error('refused');
    return ids.map(() => (clientSeq += 1));
  });
  return { queue, sent };
}

it('sends what comes while one write is under way as one, in order', async () => {
  const { queue, sent } = setUp();
  const seqs = await Promise.all(['a', 'b', 'c'].map((id) => queue.push([write(id)])));
  expect(sent).toEqual([['a'], ['b', 'c']]);
  expect(seqs).toEqual([[1], [2], [3]]);
});

it('gives each caller the numbers of its own writes', async () => {
  const { queue } = setUp();
  const [, several, last] = await Promise.all([
    queue.push([write('a')]),
    queue.push([write('b'), write('c')]),
    queue.push([write('d')]),
  ]);
  expect(several).toEqual([2, 3]);
  expect(last).toEqual([4]);
});

it('rejects only the caller whose write is refused', async () => {
  const { queue, sent } = setUp();
  const results = await Promise.allSettled(['a', 'b', 'bad', 'c'].map((id) => queue.push([write(id)])));
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(sent).toEqual([['a'], ['b', 'bad', 'c'], ['b'], ['bad'], ['c']]);
});

it('bounds what is sent as one, but never splits what one caller gave', async () => {
  const { queue, sent } = setUp();
  const many = (count: number) => Array.from({ length: count }, (_, index) => write(`${index}`));
  await Promise.all([
    queue.push([write('a')]),
    queue.push(many(300)),
    queue.push(many(300)),
    queue.push(many(900)),
  ]);
  expect(sent.map(({ length }) => length)).toEqual([1, 300, 300, 900]);
});
