// bundle.mjs PACKAGE_DIR [--json]: what each entry of the built package weighs by itself, minified and compressed, beside
// its peers. Every module that an entry reaches is counted whole, as Metro bundles it: it shakes no trees unless told to.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));

/** What each entry may weigh, compressed. `core` is the goal; the others may not grow unseen. */
export const LIMITS = { './core': 12_000, '.': 21_000 };

/** What runs on Node only, or is no module. */
const NOT_IN_APPS = /^\.\/(node|testing.*|app\.plugin\.js|package\.json)$/;

/** What else an app could take, each with all that its entry exports. */
const PEERS = ['socket.io-client', '@tanstack/react-query', 'replicache'];

/** The packages that the app has anyway. */
const OF_THE_APP = ['react', 'react-native', 'expo'];

/**
 * The sizes of one entry in bytes, and the modules it is made of.
 * @param {string} file
 * @param {readonly string[]} external packages that are not counted
 */
export async function measure(file, external) {
  const result = await build({
    entryPoints: [file],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    mainFields: ['browser', 'module', 'main'],
    treeShaking: false,
    ignoreAnnotations: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
    external: external.flatMap((name) => [name, `${name}/*`]),
  });
  const [output] = result.outputFiles;
  const modules = Object.keys(result.metafile.inputs).map((module) => resolve(module));
  return { minified: output.contents.length, gzip: gzipSync(output.contents, { level: 9 }).length, modules };
}

/** Every entry of the package that apps bundle, and what it weighs. */
export async function measurePackage(folder) {
  const { exports, peerDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const external = Object.keys(peerDependencies);
  const measured = [];
  for (const [entry, { default: file }] of Object.entries(exports)) {
    if (NOT_IN_APPS.test(entry)) continue;
    const { minified, gzip, modules } = await measure(join(folder, file), external);
    const limit = LIMITS[entry] ?? null;
    measured.push({ entry, minified, gzip, limit, isWithin: limit === null || gzip <= limit, modules });
  }
  return measured;
}

export async function measurePeers() {
  const measured = [];
  for (const name of PEERS) {
    const { minified, gzip } = await measure(fileURLToPath(import.meta.resolve(name)), OF_THE_APP);
    const { version } = JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8'));
    measured.push({ name, version, minified, gzip });
  }
  return measured;
}

function line(name, { minified, gzip }, note = '') {
  return `  ${name.padEnd(36)}  ${String(minified).padStart(9)}  ${String(gzip).padStart(9)}  ${note}`.trimEnd();
}

async function main([folder, ...options]) {
  const entries = await measurePackage(resolve(folder));
  const peers = await measurePeers();
  if (options.includes('--json')) {
    const sizes = entries.map(({ modules, ...sizes }) => ({ ...sizes, modules: modules.length }));
    console.log(JSON.stringify({ scenario: 'bundle', unit: 'bytes', entries: sizes, peers }));
  } else {
    console.log(`${'bundle, bytes'.padEnd(38)}  ${'minified'.padStart(9)}  ${'gzip'.padStart(9)}  limit`);
    for (const { entry, limit, isWithin, ...sizes } of entries) {
      const verdict = limit === null ? '' : `${limit} ${isWithin ? 'met' : 'NOT met'}`;
      console.log(line(entry === '.' ? 'expo-syncline' : `expo-syncline${entry.slice(1)}`, sizes, verdict));
    }
    for (const { name, version, ...sizes } of peers) console.log(line(`${name} ${version}`, sizes));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
