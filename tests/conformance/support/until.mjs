const INTERVAL_MS = 5;
const TIMEOUT_MS = 20_000;

/** Waits for a condition, which may be a promise; says what `describe` knows when it stays away. */
export async function until(condition, describe = () => condition.toString()) {
  const end = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${TIMEOUT_MS} ms: ${JSON.stringify(describe())}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
