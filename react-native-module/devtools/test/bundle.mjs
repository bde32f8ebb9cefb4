// Prints the file of the first argument with all that it needs, as Metro bundles it for production on a phone.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);
const { getDefaultConfig } = require('expo/metro-config');
const { loadConfig, runBuild } = createRequire(require.resolve('expo/package.json'))('@expo/metro/metro');

const folder = await mkdtemp(join(tmpdir(), 'syncline-bundle-'));
try {
  const out = join(folder, 'bundle.js');
  const options = { projectRoot: root, maxWorkers: 1, reporter: { update: () => undefined } };
  const config = await loadConfig(options, getDefaultConfig(root));
  await runBuild(config, {
    entry: resolve(process.argv[2]),
    out,
    dev: false,
    minify: false,
    platform: 'ios',
  });
  process.stdout.write(await readFile(out, 'utf8'));
} finally {
  await rm(folder, { recursive: true, force: true });
}
