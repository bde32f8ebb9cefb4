import { Audience, once, Store } from '../../src/observable.ts';

it('tells its listeners about a change, and nothing else', () => {
  const store = new Store(1);
  const listener = jest.fn();
  store.subscribe(listener);
  store.set(1);
  expect(listener).not.toHaveBeenCalled();
  store.set(2);
  expect(listener).toHaveBeenCalledTimes(1);
  expect(store.get()).toBe(2);
});

it('counts news that change nothing', () => {
  const store = new Store(1);
  store.set(1);
  expect(store.version).toBe(1);
});

it('tells one function as often as it was subscribed', () => {
  const store = new Store(1);
  const listener = jest.fn();
  const unsubscribe = store.subscribe(listener);
  store.subscribe(listener);
  store.set(2);
  expect(listener).toHaveBeenCalledTimes(2);
  unsubscribe();
  unsubscribe();
  store.set(3);
  expect(listener).toHaveBeenCalledTimes(3);
});

it('lets a listener unsubscribe others while it is told', () => {
  const store = new Store(1);
  const late = jest.fn();
  const unsubscribes: (() => void)[] = [];
  store.subscribe(() => {
    unsubscribes.forEach((unsubscribe) => {
      unsubscribe();
    });
  });
  unsubscribes.push(store.subscribe(late));
  store.set(2);
  store.set(3);
  expect(late).toHaveBeenCalledTimes(1);
});

it('ends once, however often the end is called', () => {
  const end = jest.fn();
  const ending = once(end);
  ending();
  ending();
  expect(end).toHaveBeenCalledTimes(1);
});

it('begins with the first who looks, and ends after the last, each time anew', () => {
  const end = jest.fn();
  const begin = jest.fn(() => end);
  const audience = new Audience(begin);
  const first = audience.join();
  const second = audience.join();
  expect(begin).toHaveBeenCalledTimes(1);
  first();
  first();
  expect(end).not.toHaveBeenCalled();
  expect(audience.isEmpty).toBe(false);
  second();
  expect(end).toHaveBeenCalledTimes(1);
  expect(audience.isEmpty).toBe(true);
  audience.join();
  expect(begin).toHaveBeenCalledTimes(2);
});
