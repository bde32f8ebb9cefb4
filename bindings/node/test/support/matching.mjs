// Whether what came is what a transcript expects: see tests/contract/README.md.
import { isDeepStrictEqual } from 'node:util';

const isName = (value) => typeof value === 'string' && value.startsWith('$');
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What names stand for. */
export class Bindings {
  #names = new Map();

  bind(name, value) {
    this.#names.set(`$${name}`, value);
  }

  /** What is sent: every name replaced by what it stands for. */
  fill(template) {
    if (isName(template)) {
      if (!this.#names.has(template)) throw new Error(`${template} stands for nothing yet`);
      return this.#names.get(template);
    }
    if (Array.isArray(template)) return template.map((item) => this.fill(item));
    if (!isObject(template)) return template;
    return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, this.fill(value)]));
  }

  /** Whether `actual` is what is expected; names that stand for nothing yet are bound if so, and none otherwise. */
  matches(expected, actual) {
    const before = new Map(this.#names);
    if (this.#fits(expected, actual)) return true;
    this.#names = before;
    return false;
  }

  /** Takes the first of `expected` that fits out of it. */
  takeFitting(expected, actual) {
    const at = expected.findIndex((one) => this.matches(one, actual));
    if (at < 0) return false;
    expected.splice(at, 1);
    return true;
  }

  #fits(expected, actual) {
    if (isName(expected)) return this.#fitsName(expected, actual);
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual) || expected.length !== actual.length) return false;
      return expected.every((one, index) => this.#fits(one, actual[index]));
    }
    if (!isObject(expected)) return expected === actual;
    if (Array.isArray(actual)) {
      const left = [...(expected.$unordered ?? [])];
      return left.length === actual.length && actual.every((one) => this.takeFitting(left, one));
    }
    if (!isObject(actual)) return false;
    const { $more: more = false, ...named } = expected;
    if (!more && Object.keys(named).length !== Object.keys(actual).length) return false;
    return Object.entries(named).every(
      ([key, one]) => Object.hasOwn(actual, key) && this.#fits(one, actual[key]),
    );
  }

  #fitsName(name, actual) {
    if (name === '$any') return true;
    if (name === '$text') return typeof actual === 'string' && actual !== '';
    if (name === '$number') return typeof actual === 'number';
    if (this.#names.has(name)) return isDeepStrictEqual(this.#names.get(name), actual);
    this.#names.set(name, actual);
    return true;
  }
}
