import type { JsonValue } from './contract.ts';
import { invalid } from './error.ts';

/** How deep values may nest: the core refuses deeper ones, and a cycle is infinitely deep. */
const DEPTH_MAX = 64;

/**
 * A copy of `value` that JSON carries without loss. `undefined` members are left out; anything that JSON would
 * silently change (`NaN`, dates, maps, functions) is refused, naming the place.
 */
export function toJson(value: unknown, place: string, depth = 0): JsonValue {
  if (depth > DEPTH_MAX) throw invalid(`${place} nests deeper than ${DEPTH_MAX} levels, or in a circle`);
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value)) return value;
      throw invalid(`${place} is ${value}, which is not a JSON number`);
    case 'object':
      if (value === null) return null;
      if (Array.isArray(value)) {
        return value.map((item, index) => toJson(item, `${place}[${index}]`, depth + 1));
      }
      return objectToJson(value, place, depth);
    default:
      throw invalid(`${place} is of type ${typeof value}, which JSON cannot hold`);
  }
}

function objectToJson(value: object, place: string, depth: number): Record<string, JsonValue> {
  const prototype: unknown = Object.getPrototypeOf(value);
  // By name, not identity: the object may come from another realm.
  if (prototype !== null && (prototype as object).constructor.name !== 'Object') {
    throw invalid(`${place} is a ${(prototype as object).constructor.name}, not a plain object`);
  }
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries.map(([key, member]) => [key, toJson(member, `${place}.${key}`, depth + 1)]),
  );
}

/** The fields of a document, or the state of a presence: a JSON object. */
export function toFields(value: unknown, place: string): Record<string, JsonValue> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${place} must be an object`);
  }
  return objectToJson(value, place, 0);
}
