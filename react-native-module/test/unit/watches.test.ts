import type { Channel } from '../../src/channel.ts';
import type { Command, Event, Row } from '../../src/contract.ts';
import { type CoreQuery, reorder, Watches } from '../../src/watches.ts';

type RowsEvent = Extract<Event, { type: 'rows' }>;

function row(id: string, n = 0): Row {
  return { id, fields: { n }, seq: 1, pending: false };
}

function rowsEvent(event: Partial<RowsEvent>): RowsEvent {
  return { type: 'rows', watch: 1, reset: false, upserted: [], removed: [], ...event };
}

/** A core that answers every watch with these rows. */
function setUp(rows: Row[], count: number) {
  const commands: Command[] = [];
  const channel = {
    call: (command: Command) => {
      commands.push(command);
      const room = { room: 'r', state: 'live', complete: true, error: null };
      return Promise.resolve({ watch: commands.length, rows, count, room });
    },
  } as unknown as Channel;
  const watches = new Watches(() => Promise.resolve(channel));
  const observe = (query: Partial<CoreQuery>) => watches.observe({ room: 'r', collection: 'c', ...query });
  return { watches, observe, commands };
}

it('puts rows where their indexes say', () => {
  const shown = ['a', 'b', 'c', 'd'];
  const moved = {
    reset: false,
    upserted: [row('d'), row('x'), row('a')],
    removed: ['c'],
    indexes: [0, 2, 3],
  };
  expect(reorder(shown, moved)).toEqual(['d', 'b', 'x', 'a']);
  expect(reorder(shown, { reset: false, upserted: [], removed: ['a', 'd'], indexes: [] })).toEqual([
    'b',
    'c',
  ]);
  expect(reorder(shown, { reset: true, upserted: [row('z'), row('a')], removed: [] })).toEqual(['z', 'a']);
});

it('keeps the rows of a query in its order, and its count', async () => {
  const { watches, observe } = setUp([row('b', 3), row('a', 2)], 7);
  const top = observe({ orderBy: [{ path: 'n', direction: 'desc' }], limit: 2 });
  const shown = () => top.get().data.map(({ id }) => id);
  await new Promise<void>((resolve) => top.subscribe(resolve));
  expect([shown(), top.get().count]).toEqual([['b', 'a'], 7]);

  const kept = top.get().data[0];
  watches.handleRows(rowsEvent({ upserted: [row('c', 9)], indexes: [0], removed: ['a'], count: 8 }));
  watches.publish();
  expect([shown(), top.get().count]).toEqual([['c', 'b'], 8]);
  expect(top.get().data[1]).toBe(kept);
});

it('tells of all that one batch of events changed at once', async () => {
  const { watches, observe } = setUp([], 0);
  const all = observe({});
  await new Promise<void>((resolve) => all.subscribe(resolve));
  const seen: string[][] = [];
  all.subscribe(() => seen.push(all.get().data.map(({ id }) => id)));
  ['a', 'b', 'c'].forEach((id) => {
    watches.handleRows(rowsEvent({ upserted: [row(id)] }));
  });
  expect(seen).toEqual([]);
  watches.publish();
  expect(seen).toEqual([['a', 'b', 'c']]);
});

it('never shows a room as complete before its rows, whichever comes first', async () => {
  const { watches, observe } = setUp([row('a')], 1);
  const all = observe({});
  const shown: string[] = [];
  const filled = new Promise<void>((resolve) => {
    all.subscribe(() => {
      shown.push(`${all.get().status} ${all.get().data.length}`);
      resolve();
    });
  });
  watches.handleRoom({ room: 'r', state: 'live', complete: true, error: null });
  watches.publish();
  await filled;
  expect(shown).toEqual(['complete 1']);
});

it('shares one watch among equal queries, and none among different ones', () => {
  const { observe, commands } = setUp([], 0);
  const ignore = () => undefined;
  observe({ filter: { eq: ['n', 1] } }).subscribe(ignore);
  observe({ filter: { eq: ['n', 1] } }).subscribe(ignore);
  observe({ filter: { eq: ['n', 2] } }).subscribe(ignore);
  return Promise.resolve().then(() => {
    expect(commands).toEqual([
      { type: 'watch', room: 'r', collection: 'c', filter: { eq: ['n', 1] } },
      { type: 'watch', room: 'r', collection: 'c', filter: { eq: ['n', 2] } },
    ]);
  });
});

it('counts a subscriber that ends twice once', async () => {
  const { watches, observe } = setUp([row('a', 1)], 1);
  const source = observe({});
  await new Promise<void>((resolve) => source.subscribe(resolve));
  const told: string[][] = [];
  source.subscribe(() => told.push(source.get().data.map(({ id }) => id)));
  const end = source.subscribe(() => undefined);
  end();
  end();
  end();
  jest.useFakeTimers();
  await jest.advanceTimersByTimeAsync(60_000);
  jest.useRealTimers();
  watches.handleRows(rowsEvent({ upserted: [row('b')], count: 2 }));
  watches.publish();
  expect(told.at(-1)?.sort()).toEqual(['a', 'b']);
});
