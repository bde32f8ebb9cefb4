// What the values of a transcript stand for. See tests/contract/README.md.

type Members = Record<string, unknown>;

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the names of a transcript stand for. */
export class Bindings {
  #bound = new Map<string, unknown>();

  bind(name: string, value: unknown): void {
    this.#bound.set(name, value);
  }

  /** The value with what its names stand for. */
  fill(value: unknown): unknown {
    if (typeof value === 'string' && value.startsWith('$')) {
      const name = value.slice(1);
      if (!this.#bound.has(name)) throw new Error(`nothing is bound to ${value}`);
      return this.#bound.get(name);
    }
    if (Array.isArray(value)) return value.map((item) => this.fill(item));
    if (!isMembers(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, this.fill(member)]));
  }

  /** Whether the value is as expected; if so, new names stand for what they met, and otherwise for nothing. */
  matches(expected: unknown, actual: unknown): boolean {
    const before = new Map(this.#bound);
    if (this.#fits(expected, actual)) return true;
    this.#bound = before;
    return false;
  }

  #fits(expected: unknown, actual: unknown): boolean {
    if (typeof expected === 'string' && expected.startsWith('$'))
      return this.#fitsName(expected.slice(1), actual);
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual) || actual.length !== expected.length) return false;
      return expected.every((item, place) => this.#fits(item, actual[place]));
    }
    if (!isMembers(expected)) return Object.is(expected, actual);
    const { $unordered: unordered, $more: more, ...members } = expected;
    if (Array.isArray(unordered)) return Array.isArray(actual) && this.#fitUnordered(unordered, actual);
    if (!isMembers(actual)) return false;
    const isRest = more === true || Object.keys(actual).every((key) => Object.hasOwn(members, key));
    return (
      isRest &&
      Object.entries(members).every(
        ([key, member]) => Object.hasOwn(actual, key) && this.#fits(member, actual[key]),
      )
    );
  }

  #fitUnordered(expected: readonly unknown[], actual: readonly unknown[]): boolean {
    const left = [...expected];
    const fitsOne = (value: unknown) => {
      const at = left.findIndex((one) => this.matches(one, value));
      if (at >= 0) left.splice(at, 1);
      return at >= 0;
    };
    return actual.length === expected.length && actual.every(fitsOne);
  }

  #fitsName(name: string, actual: unknown): boolean {
    if (name === 'any') return true;
    if (name === 'text') return typeof actual === 'string' && actual !== '';
    if (name === 'number') return typeof actual === 'number';
    if (this.#bound.has(name)) return Object.is(this.#bound.get(name), actual);
    this.#bound.set(name, actual);
    return true;
  }
}
