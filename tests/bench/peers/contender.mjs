// A contender's side of the benchmark: an order per line on standard input, an answer per line on standard output.

import { createInterface } from "node:readline";

/** Answers each order `{ samples, group, bytes }` with the values that `run` gives, until there are no more. */
export async function serve(run) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify({ values: run(JSON.parse(line)) })}\n`);
  }
}
