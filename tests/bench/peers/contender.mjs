// A contender's side of the benchmark: an order per line on standard input, an answer per line on standard output.

import { createInterface } from 'node:readline';

/** How many operations a sample makes: `"one"`, or `{ concurrent: count }`, or `{ batch: count }`. */
export function operationsOf(work) {
  return work === 'one' ? 1 : (work.concurrent ?? work.batch);
}

/** Answers each order `{ samples, work, bytes }` with the values that `run` gives, until there are no more. */
export async function serve(run) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify({ values: run(JSON.parse(line)) })}\n`);
  }
}
