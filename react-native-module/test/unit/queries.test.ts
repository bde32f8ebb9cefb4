import type { Fields } from '../../src/index.ts';
import { cursorOf, toCoreSelection } from '../../src/queries.ts';

it('spells equal selections alike', () => {
  const written = toCoreSelection({
    limit: 3,
    orderBy: [{ direction: 'asc', path: 'n' }],
    filter: undefined,
  });
  const again = toCoreSelection({ orderBy: [{ path: 'n', direction: 'asc' }], limit: 3 });
  expect(JSON.stringify(written)).toBe(JSON.stringify(again));
  expect(toCoreSelection({ orderBy: [] })).toEqual({});
});

it('refuses what JSON would change', () => {
  expect(() => toCoreSelection({ filter: { eq: ['n', NaN] } })).toThrow('not a JSON number');
  expect(() => toCoreSelection({ limit: -1 })).toThrow('limit must be a whole number');
});

it('reads a cursor off the last row, null for what is missing', () => {
  const document = { id: 'a', at: { 'x.y': 3 }, list: [1] };
  const orderBy = ['at.x\\.y', 'at.z', 'list.0'].map((path) => ({ path }));
  expect(cursorOf<Fields>(document, orderBy)).toEqual({ values: [3, null, null], id: 'a' });
});
