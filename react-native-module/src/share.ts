/** Not what keeps its contents elsewhere than in members, as a `Set` or a `Date` does. */
function isObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name: string } } | null;
  // By name, not identity: the object may come from another realm.
  return prototype === null || prototype.constructor?.name === 'Object';
}

/** `next`, in which every part equal to its counterpart in `previous` is that very object. Both are JSON. */
export function share<T>(previous: unknown, next: T): T {
  if (Object.is(previous, next)) return next;
  if (Array.isArray(previous) && Array.isArray(next)) {
    const shared: unknown[] = next.map((item, index) => share<unknown>(previous[index], item));
    const same = shared.length === previous.length && shared.every((item, index) => item === previous[index]);
    return (same ? previous : shared) as T;
  }
  if (isObject(previous) && isObject(next)) {
    const keys = Object.keys(next);
    const shared = Object.fromEntries(keys.map((key) => [key, share(previous[key], next[key])]));
    const same =
      keys.length === Object.keys(previous).length &&
      keys.every((key) => Object.hasOwn(previous, key) && shared[key] === previous[key]);
    return (same ? previous : shared) as T;
  }
  return next;
}

/** Equal, or objects or arrays whose members are identical one by one. */
export function shallowEqual(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, index) => Object.is(item, right[index]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && Object.is(left[key], right[key]))
  );
}
