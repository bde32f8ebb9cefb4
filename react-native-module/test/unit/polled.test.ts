import { polled } from '../../src/polled.ts';

const INTERVAL_MS = 1000;

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

it('is read by one loop, also for somebody who looks away and back while it is read', async () => {
  const read = jest.fn(() => Promise.resolve(1));
  const source = polled(0, read, INTERVAL_MS);
  source.subscribe(jest.fn())();
  const end = source.subscribe(jest.fn());
  await jest.advanceTimersByTimeAsync(0);
  expect(source.get()).toBe(1);
  read.mockClear();
  await jest.advanceTimersByTimeAsync(3 * INTERVAL_MS);
  expect(read).toHaveBeenCalledTimes(3);
  end();
  await jest.advanceTimersByTimeAsync(3 * INTERVAL_MS);
  expect(read).toHaveBeenCalledTimes(3);
});
