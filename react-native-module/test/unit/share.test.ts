import { share, shallowEqual } from '../../src/share.ts';

it('keeps the previous object when nothing differs', () => {
  const previous = { a: [1, { b: null }], c: 'x' };
  expect(share(previous, { a: [1, { b: null }], c: 'x' })).toBe(previous);
});

it('keeps the parts that do not differ', () => {
  const previous = { same: { deep: [1, 2] }, other: { x: 1 }, list: [{ id: 1 }, { id: 2 }] };
  const next = share(previous, { same: { deep: [1, 2] }, other: { x: 2 }, list: [{ id: 1 }, { id: 3 }] });
  expect(next).toEqual({ same: { deep: [1, 2] }, other: { x: 2 }, list: [{ id: 1 }, { id: 3 }] });
  expect(next.same).toBe(previous.same);
  expect(next.list[0]).toBe(previous.list[0]);
  expect(next.other).not.toBe(previous.other);
});

it.each<[unknown, unknown]>([
  [{ a: 1 }, { a: 1, b: 2 }],
  [{ a: 1, b: 2 }, { a: 1 }],
  [{ a: 1 }, { b: 1 }],
  [[1], [1, 2]],
  [[1, 2], [1]],
  [[], {}],
  [{}, []],
  [null, {}],
  [{}, null],
  [1, '1'],
  [{ a: undefined }, {}],
])('takes the new value of %j and %j', (previous, next) => {
  expect(share(previous, next)).toEqual(next);
});

it('compares members by identity', () => {
  const inner = {};
  expect(shallowEqual({ a: inner, b: NaN }, { a: inner, b: NaN })).toBe(true);
  expect(shallowEqual({ a: inner }, { a: {} })).toBe(false);
  expect(shallowEqual({ a: 1 }, { b: 1 })).toBe(false);
  expect(shallowEqual(null, {})).toBe(false);
});

it('takes no two sets, maps or dates for equal', () => {
  for (const [previous, next] of [
    [new Set(['a']), new Set(['b'])],
    [new Map([['a', 1]]), new Map([['a', 2]])],
    [new Date(1), new Date(2)],
  ] as const) {
    expect(shallowEqual(previous, next)).toBe(false);
    expect(share<{ at: unknown }>({ at: previous }, { at: next }).at).toBe(next);
  }
});
