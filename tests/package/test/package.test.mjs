// What is in the package, and how it looks to those who import it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

import { measurePackage } from '../bundle.mjs';
import { HERE, ROOT, run, STAGE, tarball } from '../support.mjs';

const manifest = JSON.parse(readFileSync(join(STAGE, 'package.json'), 'utf8'));

const bin = (name) => join(HERE, 'node_modules/.bin', name);

const entries = Object.keys(manifest.exports).filter((entry) => !/\.(js|json)$/.test(entry));

const packed = async () => (await run('tar', ['-tzf', tarball()])).stdout.split('\n');

test('has every file that somebody looks for, and none that is for us alone', async () => {
  const files = await packed();
  const wanted = [
    ...entries.flatMap((entry) => Object.values(manifest.exports[entry])),
    'app.plugin.js',
    'plugin/build/index.js',
    'plugin/package.json',
    'expo-module.config.json',
    'ios/ExpoSyncline.podspec',
    'ios/PrivacyInfo.xcprivacy',
    'ios/BackgroundTask.swift',
    'android/build.gradle',
    'android/src/main/AndroidManifest.xml',
    'mocks/Syncline.js',
    'llms.txt',
    'README.md',
    'LICENSE-MIT',
    'LICENSE-APACHE',
  ].map((file) => join('package', file));
  assert.deepEqual(
    wanted.filter((file) => !files.includes(file)),
    [],
  );
  const ours = /^package\/(test|types|node_modules|example|plugin\/src|package-lock|\.)/;
  assert.deepEqual(
    files.filter((file) => ours.test(file)),
    [],
  );
});

test('is right to publint', async () => {
  const { messages } = await publint({ pkgDir: STAGE, level: 'suggestion', strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test('has the right types for whoever imports an entry as a module', async () => {
  const args = [tarball(), '--profile', 'esm-only', '--format', 'json'];
  const excluded = ['app.plugin.js', 'package.json'];
  const { stdout } = await run(bin('attw'), [...args, '--exclude-entrypoints', ...excluded]);
  const { analysis } = JSON.parse(stdout);
  const looked = Object.keys(analysis.entrypoints);
  assert.deepEqual(looked.sort(), entries.toSorted());
});

test('no entry is heavier than it may be, and the small one has nothing of the rest', async () => {
  const measured = await measurePackage(STAGE);
  const heavy = measured.filter(({ isWithin }) => !isWithin);
  assert.deepEqual(
    heavy.map(({ entry, gzip, limit }) => `${entry}: ${gzip} bytes of ${limit}`),
    [],
  );
  const { modules } = measured.find(({ entry }) => entry === './core');
  const rest = /\/build\/(jobs|socket|socket-hub|presence|client)\.js$/;
  assert.deepEqual(
    modules.filter((module) => rest.test(module)),
    [],
  );
});

test('has a reference of every entry, without a link that leads nowhere', async (t) => {
  const out = mkdtempSync(join(tmpdir(), 'syncline-reference-'));
  t.after(() => {
    rmSync(out, { recursive: true, force: true });
  });
  await run(join(ROOT, 'scripts/reference'), [
    '--out',
    join(out, 'html'),
    '--json',
    join(out, 'reference.json'),
  ]);
  const reference = JSON.parse(readFileSync(join(out, 'reference.json'), 'utf8'));
  const names = reference.children.flatMap(({ children = [] }) => children.map(({ name }) => name));
  for (const name of [
    'SyncClient',
    'CoreClient',
    'useCollection',
    'registerBackgroundSync',
    'SyncProgress',
  ]) {
    assert.ok(names.includes(name), `${name} is not in the reference`);
  }
  assert.equal(reference.children.length, entries.length);
});

test('tells language models of every entry and every hook, and of none that is not there', async () => {
  const text = readFileSync(join(STAGE, 'llms.txt'), 'utf8');
  const url = new URL(`file://${join(STAGE, 'build/index.d.ts')}`);
  const hooks = new Set([url, new URL('hooks/core.d.ts', url)].flatMap(hooksOf));
  const told = new Set(text.match(/\buse[A-Z]\w*/g));
  assert.deepEqual([...told].sort(), [...hooks].sort());
  for (const entry of entries) assert.ok(text.includes(join('expo-syncline', entry)), entry);
});

function hooksOf(declarations) {
  const exported = readFileSync(declarations, 'utf8').match(/export \{[^}]*\}/g) ?? [];
  return exported.join().match(/\buse[A-Z]\w*/g) ?? [];
}
