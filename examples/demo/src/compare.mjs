// The deep comparison: what a replica holds against what it must hold.

import { isDeepStrictEqual } from 'node:util';

import { keyOf } from './model.mjs';

/**
 * Compares a listing with the expected documents.
 *
 * Lost: a document or a field without the effect of an accepted write; each missing count of a counter. Duplicated:
 * a document nobody made or that is listed twice; each count too many.
 *
 * @param {Map<string, object>} expected fields by key
 * @param {{ collection: string, id: string, fields: object }[]} actual
 * @param {{ collection: string, id: string, field: string }} counter the field that is only ever incremented
 * @returns {{ lost: number, duplicated: number, differences: string[] }}
 */
export function compare(expected, actual, counter) {
  const result = { lost: 0, duplicated: 0, differences: [] };
  const seen = new Set();
  const counterKey = keyOf(counter.collection, counter.id);
  for (const { collection, id, fields } of actual) {
    const key = keyOf(collection, id);
    const wanted = expected.get(key);
    if (seen.has(key)) {
      result.duplicated += 1;
      result.differences.push(`${collection}/${id} is listed twice`);
    } else if (wanted === undefined) {
      result.duplicated += 1;
      result.differences.push(`${collection}/${id} should not be there`);
    } else {
      compareFields(
        `${collection}/${id}`,
        wanted,
        fields,
        key === counterKey ? counter.field : undefined,
        result,
      );
    }
    seen.add(key);
  }
  for (const key of expected.keys()) {
    if (!seen.has(key)) {
      result.lost += 1;
      result.differences.push(`${JSON.parse(key).join('/')} is missing`);
    }
  }
  return result;
}

function compareFields(document, wanted, fields, counted, result) {
  for (const name of new Set([...Object.keys(wanted), ...Object.keys(fields)])) {
    const should = own(wanted, name);
    const is = own(fields, name);
    if (isDeepStrictEqual(should, is) || isDeepStrictEqual(normal(should), normal(is))) {
      continue;
    }
    result.differences.push(
      `${document} ${name}: ${JSON.stringify(is)}, should be ${JSON.stringify(should)}`,
    );
    if (name === counted && typeof is === 'number' && is > should) {
      result.duplicated += is - should;
    } else {
      result.lost += name === counted && typeof is === 'number' ? should - is : 1;
    }
  }
}

function own(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** JSON knows one zero. */
function normal(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
