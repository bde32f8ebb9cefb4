import { ITEMS_MAX, VALUE_CHARS_MAX } from '../../../src/devtools/protocol.ts';
import { listed, readWork, shown, shownDocuments, shownWork } from '../../../src/devtools/shown.ts';
import { each, History } from '../../../src/devtools/sources.ts';
import { Store } from '../../../src/observable.ts';

it('cuts what is too long, and says so', () => {
  expect(shown({ a: 1 })).toEqual({ text: '{\n  "a": 1\n}', isCut: false });
  const { text, isCut } = shown({ a: 'x'.repeat(VALUE_CHARS_MAX) });
  expect([text.length, isCut]).toEqual([VALUE_CHARS_MAX, true]);
  const many = listed(Array.from({ length: ITEMS_MAX + 1 }), () => 0);
  expect([many.items.length, many.total]).toEqual([ITEMS_MAX, ITEMS_MAX + 1]);
});

it('shows a value that JSON cannot hold as what is wrong with it', () => {
  expect(shown({ a: 1n })).toMatchObject({ isCut: true, text: expect.stringContaining('BigInt') as string });
});

it('carries a work with bytes to the panel and back', () => {
  const work = {
    event: { name: 'photo', args: [new Uint8Array([0, 255]), { a: [null] }, { $bytes: 'no bytes' }] },
  };
  expect(readWork(shownWork(work).text)).toEqual(work);
});

it('shows a work with more bytes than a call has arguments', () => {
  const { text, isCut } = shownWork({ handler: { key: 'upload', payload: new Uint8Array(1 << 20) } });
  expect([isCut, text.includes('"$bytes": "AAAA')]).toEqual([true, true]);
});

it.each(['{', '{"event": {"$bytes": "%"}}', 'null', '7', '{"letter": {}}'])(
  'refuses %s as a work',
  (text) => {
    expect(() => readWork(text)).toThrow(expect.objectContaining({ code: 'invalid' }) as Error);
  },
);

it('tells documents in conflict from others of the same id', () => {
  const parked = { clientSeq: 1, id: 'a', local: 'delete', server: null, kind: 'update_update' } as const;
  const conflicts = [
    { ...parked, room: 'r', collection: 'tasks', fields: [] },
    { ...parked, room: 'r', collection: 'notes', id: 'b', fields: [] },
  ];
  const rows = {
    data: [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
    count: 9,
    status: 'complete',
    error: null,
    pendingIds: new Set(['a', 'b']),
  } as const;
  const { items, total } = shownDocuments({ room: 'r', collection: 'tasks' }, rows, conflicts).rows;
  expect(items.map(({ state }) => state)).toEqual(['conflict', 'pending', 'confirmed']);
  expect(total).toBe(9);
});

it('keeps the last entries of a history, and gives each out once', () => {
  const history = new History<number>(3);
  history.add(1, 2);
  expect(history.take()).toEqual([1, 2]);
  for (let nth = 3; nth <= 20; nth++) history.add(nth);
  expect([history.all, history.take(), history.take()]).toEqual([[18, 19, 20], [18, 19, 20], []]);
});

it('follows the sources of the keys that there are, while somebody looks', () => {
  const keys = new Store<readonly string[]>(['a']);
  const sources = { a: new Store(1), b: new Store(10) };
  const all = each(
    keys,
    (key) => sources[key as 'a' | 'b'],
    (key, value) => `${key}${value}`,
  );
  let heard = 0;
  const end = all.subscribe(() => heard++);
  expect(all.get()).toEqual(['a1']);
  expect(all.get()).toBe(all.get());
  keys.set(['a', 'b']);
  sources.b.set(11);
  expect([all.get(), heard]).toEqual([['a1', 'b11'], 2]);
  keys.set(['b']);
  sources.a.set(2);
  expect([all.get(), heard]).toEqual([['b11'], 3]);
  end();
  sources.b.set(12);
  expect(heard).toBe(3);
});
