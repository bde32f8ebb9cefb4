// A contender's side of the benchmark: an order per line on standard input, an answer per line on standard output.

import { createInterface } from 'node:readline';

/** How many operations a sample makes: `"one"`, or `{ concurrent: count }`, or `{ batch: count }`. */
export function operationsOf(work) {
  return work === 'one' ? 1 : (work.concurrent ?? work.batch);
}

/**
 * Answers each order `{ samples, work, bytes }` with what `run` gives, or promises, until there are no more: the value
 * of each sample; or `{ values, also }`, where `also` holds a list of values per further figure.
 */
export async function serve(run) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await run(JSON.parse(line));
    process.stdout.write(`${JSON.stringify(Array.isArray(answer) ? { values: answer } : answer)}\n`);
  }
}
