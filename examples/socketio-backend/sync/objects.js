// Objects whose names come from the network. `__proto__` and `constructor` are names like any other here.

/** The value under a name, undefined where there is none. */
export function own(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

export function put(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Whether a value is an object in JSON's sense: no array, no bytes, no date. */
export function isMap(value) {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether two JSON values are equal, whatever the order of their names. */
export function equal(one, other) {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => equal(item, other[index]));
  }
  if (isMap(one) && isMap(other)) {
    const names = Object.keys(one);
    return (
      names.length === Object.keys(other).length &&
      names.every((name) => Object.hasOwn(other, name) && equal(one[name], other[name]))
    );
  }
  return one === other;
}
