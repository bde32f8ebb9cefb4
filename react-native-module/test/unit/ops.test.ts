import {
  append,
  increment,
  path,
  remove,
  serverTime,
  set,
  SynclineError,
  union,
  unset,
} from '../../src/index.ts';
import { toJson } from '../../src/json.ts';
import { toOps } from '../../src/ops.ts';

it('spells values and operations as the core reads them', () => {
  const changes = {
    title: 'x',
    'address.city': { name: 'y', area: undefined },
    gone: unset(),
    xp: increment(-2),
    done: set(true),
    tags: union('a', 'b'),
    old: remove(1),
    log: append({ at: 1 }, null),
    seen: serverTime(),
  };
  expect(toOps(changes)).toEqual({
    title: { set: 'x' },
    'address.city': { set: { name: 'y' } },
    gone: 'unset',
    xp: { increment: -2 },
    done: { set: true },
    tags: { union: ['a', 'b'] },
    old: { remove: [1] },
    log: { append: [{ at: 1 }, null] },
    seen: 'server_time',
  });
});

it('escapes dots and backslashes of names', () => {
  expect(path('a', 'b')).toBe('a.b');
  expect(path('file.txt', 'c:\\')).toBe('file\\.txt.c:\\\\');
});

it('refuses an update without changes', () => {
  expect(() => toOps({})).toThrow(SynclineError);
});

it('names the place of what JSON cannot hold', () => {
  expect(() => toJson({ list: [1, { when: new Date(0) }] }, 'task')).toThrow('task.list[1].when is a Date');
  expect(() => toJson([undefined], 'task')).toThrow('task[0] is of type undefined');
  expect(() => toJson(1n, 'n')).toThrow('n is of type bigint');
  expect(() => increment(Infinity)).toThrow('Infinity');
});

it('refuses a circle instead of following it', () => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  expect(() => toJson(circle, 'task')).toThrow('circle');
});

it('takes objects without a prototype', () => {
  const bare = Object.assign(Object.create(null) as object, { a: 1 });
  expect(toJson(bare, 'x')).toEqual({ a: 1 });
});
