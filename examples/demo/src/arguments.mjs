// The command line.

import { parseArgs } from "node:util";

export const HELP = `scripts/demo [--data FILE] [--json] [--seed N]

Two devices edit the same data; one goes offline, is killed, and comes back; all converge.

  --data FILE   a JSON array or NDJSON of documents (default: 3,201 films)
  --json        print the figures as one JSON object on the last line
  --seed N      which documents are edited (default: 1)`;

/** A mistake of whoever called: its message is all that is shown, and the exit code is 2. */
export class UsageError extends Error {}

/** @returns {{ help: boolean, data: string | undefined, json: boolean, seed: number }} */
export function parseArguments(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        data: { type: "string" },
        json: { type: "boolean", default: false },
        seed: { type: "string", default: "1" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(error.message);
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UsageError(`--seed ${values.seed}: not a whole number of at least 0`);
  }
  return { help: values.help, data: values.data, json: values.json, seed };
}
