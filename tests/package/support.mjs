import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(HERE, '../..');

/** Where scripts/suites/package.sh has put the package and the templates. */
export const WORK = process.env.SYNCLINE_PACKAGE_WORK ?? join(ROOT, 'target/package');

/** The package as it is before it is packed. */
export const STAGE = join(WORK, 'stage');

const OUTPUT_BYTES_MAX = 64 << 20;

/** The one file of a folder whose name begins so. */
export function file(folder, prefix) {
  const found = readdirSync(join(WORK, folder)).filter((name) => name.startsWith(prefix));
  if (found.length !== 1)
    throw new Error(`${folder} has ${found.length} files ${prefix}…, and should have one`);
  return join(WORK, folder, found[0]);
}

/** The packed package. */
export const tarball = () => file('packed', 'expo-syncline-');

/** Runs a program to its end. Resolves to what it printed; rejects with that if it fails. */
export async function run(program, args, { cwd = HERE, env = {} } = {}) {
  try {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout, stderr } = await promisify(execFile)(program, args, options);
    return { stdout, stderr };
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? ''}`, {
      cause: error,
    });
  }
}
