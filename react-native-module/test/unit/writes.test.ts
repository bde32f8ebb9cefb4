import { createSyncClient, type ErrorCode, SynclineError, type WriteRequest } from '../../src/index.ts';
import { WriteQueue } from '../../src/writes.ts';
import { deferred, ScriptedHost } from '../support/scripted-host.ts';

function write(id: string): WriteRequest {
  return { room: 'r', collection: 'c', id, write: 'delete' };
}

/** A core that numbers writes, refuses batches with the id `bad`, and keeps what it was sent. */
function setUp(code: ErrorCode = 'invalid') {
  const sent: string[][] = [];
  let clientSeq = 0;
  const queue = new WriteQueue(
    async (writes) => {
      const ids = writes.map(({ id }) => id);
      sent.push(ids);
      await Promise.resolve();
      if (ids.includes('bad')) throw new SynclineError({ code, message: 'refused', retry: 'never' });
      return ids.map(() => (clientSeq += 1));
    },
    () => Promise.resolve('new'),
  );
  return { queue, sent };
}

it('sends what comes while one write is under way as one, in order', async () => {
  const { queue, sent } = setUp();
  const seqs = await Promise.all(['a', 'b', 'c'].map((id) => queue.push([write(id)])));
  expect(sent).toEqual([['a'], ['b', 'c']]);
  expect(seqs.map(({ clientSeqs }) => clientSeqs)).toEqual([[1], [2], [3]]);
});

it('gives each caller the numbers of its own writes', async () => {
  const { queue } = setUp();
  const [, several, last] = await Promise.all([
    queue.push([write('a')]),
    queue.push([write('b'), write('c')]),
    queue.push([write('d')]),
  ]);
  expect(several).toEqual({ ids: ['b', 'c'], clientSeqs: [2, 3] });
  expect(last).toEqual({ ids: ['d'], clientSeqs: [4] });
});

it('rejects only the caller whose write is refused', async () => {
  const { queue, sent } = setUp();
  const results = await Promise.allSettled(['a', 'b', 'bad', 'c'].map((id) => queue.push([write(id)])));
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(sent).toEqual([['a'], ['b', 'bad', 'c'], ['b'], ['bad'], ['c']]);
});

it.each<ErrorCode>(['closed', 'storage', 'disk_full', 'timeout', 'internal'])(
  'does not send again one by one what failed with `%s`',
  async (code) => {
    const { queue, sent } = setUp(code);
    const results = await Promise.allSettled(['a', 'b', 'bad', 'c'].map((id) => queue.push([write(id)])));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
    expect(sent).toEqual([['a'], ['b', 'bad', 'c']]);
  },
);

it('keeps the order of an insert that needs an id and what is written after it', async () => {
  const id = deferred<{ id: string }>();
  const host = new ScriptedHost(({ type }) => (type === 'newId' ? id.promise : undefined));
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const ref = { room: 'r', collection: 'c' };
  const inserted = client.insert(ref, { x: 1 });
  const updated = client.update({ ...ref, id: 'counter' }, { x: 2 });
  id.resolve({ id: 'made' });
  expect(await inserted).toBe('made');
  await updated;
  const written = host.told('write').flatMap((command) => (command.type === 'write' ? command.writes : []));
  expect(written.map((one) => one.id)).toEqual(['made', 'counter']);
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

it('settles when everything pushed before is durable or refused', async () => {
  const { queue, sent } = setUp();
  const refused = queue.push([write('bad')]).catch((error: unknown) => error);
  const last = queue.push([write('a')]);
  await queue.settled();
  expect(sent).toEqual([['bad'], ['a']]);
  expect(await refused).toMatchObject({ code: 'invalid' });
  expect((await last).clientSeqs).toEqual([1]);
});
