// The command line.

import { parseArgs } from 'node:util';

/** A mistake of whoever called: its message is all that is shown, and the exit code is 2. */
export class UsageError extends Error {}

/** @returns {{ data: string | undefined, json: boolean, seed: number }} */
export function parseArguments(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        data: { type: 'string' },
        json: { type: 'boolean', default: false },
        seed: { type: 'string', default: '1' },
      },
    }));
  } catch (error) {
    throw new UsageError(error.message);
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UsageError(`--seed ${values.seed}: not a whole number of at least 0`);
  }
  return { data: values.data, json: values.json, seed };
}
