// A fresh Expo app that installs the package: what it compiles, tests, links and prebuilds.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';

import { file, HERE, ROOT, run, tarball, WORK } from '../support.mjs';

const APP = join(WORK, 'app');

/** Beside the templates' own packages: what Expo's guide to tests tells an app to install. */
const FOR_TESTS = [
  'jest',
  'jest-expo',
  '@testing-library/react-native',
  'test-renderer',
  '@types/jest',
  '@types/node',
];

const JEST_TIMEOUT_MS = 120_000;

/** No question is asked, and nobody but npm. */
const QUIET = { CI: '1', EXPO_OFFLINE: '1', EXPO_NO_TELEMETRY: '1' };

const PLUGIN = ['expo-syncline', { backupExclude: ['no_backup/syncline', 'files/sync'] }];

const inApp = (program, args, env = {}) => run(program, args, { cwd: APP, env: { ...QUIET, ...env } });

const read = (path) => readFileSync(join(APP, path), 'utf8');

function edit(path, change) {
  const value = JSON.parse(read(path));
  change(value);
  writeFileSync(join(APP, path), JSON.stringify(value, null, 2));
}

before(async () => {
  rmSync(APP, { recursive: true, force: true });
  mkdirSync(APP, { recursive: true });
  const template = file('templates', 'expo-template-blank-typescript-');
  await run('tar', ['-xzf', template, '--strip-components=1', '-C', APP]);
  const { devDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'react-native-module/package.json'), 'utf8'),
  );
  edit('package.json', (manifest) => {
    manifest.name = 'fresh';
    // React Native is compiled within the first test.
    manifest.jest = { preset: 'jest-expo', testTimeout: JEST_TIMEOUT_MS };
    for (const name of FOR_TESTS) manifest.devDependencies[name] = devDependencies[name];
    manifest.dependencies['expo-syncline'] = `file:${tarball()}`;
  });
  edit('app.json', ({ expo }) => {
    expo.plugins = [PLUGIN];
    expo.ios = {
      ...expo.ios,
      bundleIdentifier: 'com.example.fresh',
      infoPlist: { UIBackgroundModes: ['audio'], BGTaskSchedulerPermittedIdentifiers: ['com.example.task'] },
    };
    expo.android.package = 'com.example.fresh';
  });
  cpSync(join(HERE, 'app'), APP, { recursive: true });
  // What the package tells language models must compile, too.
  const told = readFileSync(join(WORK, 'stage/llms.txt'), 'utf8').matchAll(/```tsx\n(.*?)```/gs);
  for (const [index, [, code]] of [...told].entries()) writeFileSync(join(APP, `llms-${index}.tsx`), code);
  await inApp('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error']);
});

test('its screens compile with the types of the package, and its mistakes do not', async () => {
  assert.ok(existsSync(join(APP, 'llms-0.tsx')));
  await inApp('npx', ['tsc', '--noEmit', '--types', 'jest,node']);
});

test('its tests run with jest-expo: with the stand-in, and with the real core', async () => {
  const { stderr } = await inApp('npx', ['jest', '--ci']);
  assert.match(stderr, /Tests: +3 passed, 3 total/);
});

test('its native module is found for both platforms', async () => {
  for (const [platform, wanted] of [
    ['apple', 'SynclineModule'],
    ['android', 'dev.syncline.expo.SynclineModule'],
  ]) {
    const args = ['expo-modules-autolinking', 'resolve', '--platform', platform, '--json'];
    const { stdout } = await inApp('npx', args);
    const found = JSON.parse(stdout).modules.find(({ packageName }) => packageName === 'expo-syncline');
    assert.ok(JSON.stringify(found)?.includes(wanted), `${platform}: ${stdout}`);
  }
});

async function prebuild(...options) {
  const template = file('templates', 'expo-template-bare-minimum-');
  return inApp('npx', ['expo', 'prebuild', '--no-install', '--template', template, ...options]);
}

/** What is in the native projects, by a hash of each file. */
function contents() {
  const files = ['ios', 'android'].flatMap((folder) =>
    readdirSync(join(APP, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return new Map(files.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]));
}

/** The strings of an array in a property list. */
function strings(plist, key) {
  const [, array] = new RegExp(`<key>${key}</key>\\s*<array>(.*?)</array>`, 's').exec(plist) ?? [null, ''];
  return [...array.matchAll(/<string>(.*?)<\/string>/g)].map(([, text]) => text);
}

test('its prebuild permits rounds in the background on iOS, beside what the app has', async () => {
  await prebuild();
  const plist = read('ios/HelloWorld/Info.plist');
  assert.deepEqual(strings(plist, 'UIBackgroundModes'), ['audio', 'fetch', 'processing']);
  assert.deepEqual(strings(plist, 'BGTaskSchedulerPermittedIdentifiers'), [
    'com.example.task',
    'dev.syncline.background',
    'dev.syncline.background.processing',
  ]);
});

test('its privacy manifest tells what the core does with files, and is part of the app', () => {
  const manifest = read('ios/HelloWorld/PrivacyInfo.xcprivacy');
  assert.match(manifest, /NSPrivacyAccessedAPICategoryFileTimestamp.*C617\.1/s);
  assert.match(manifest, /NSPrivacyAccessedAPICategoryDiskSpace.*E174\.1/s);
  assert.match(read('ios/HelloWorld.xcodeproj/project.pbxproj'), /PrivacyInfo\.xcprivacy in Resources/);
});

test('its Android manifest has the permissions, each once, and rules for backups', () => {
  const manifest = read('android/app/src/main/AndroidManifest.xml');
  for (const permission of ['INTERNET', 'ACCESS_NETWORK_STATE', 'WAKE_LOCK', 'RECEIVE_BOOT_COMPLETED']) {
    assert.equal(manifest.split(`"android.permission.${permission}"`).length, 2, permission);
  }
  assert.match(manifest, /android:dataExtractionRules="@xml\/syncline_data_extraction_rules"/);
  assert.match(manifest, /android:fullBackupContent="@xml\/syncline_backup_rules"/);
  const resources = 'android/app/src/main/res/xml';
  const rules = '<exclude domain="root" path="files/sync"/>';
  assert.equal(read(`${resources}/syncline_data_extraction_rules.xml`).split(rules).length, 3);
  assert.equal(read(`${resources}/syncline_backup_rules.xml`).split(rules).length, 2);
});

test('a second prebuild changes nothing, even with the plugin named twice', async () => {
  const first = contents();
  assert.ok(first.size > 40);
  edit('app.json', ({ expo }) => {
    expo.plugins = [PLUGIN, PLUGIN];
  });
  await prebuild('--no-clean');
  const second = contents();
  const changed = [...second].filter(([path, hash]) => first.get(path) !== hash).map(([path]) => path);
  assert.deepEqual(changed, []);
  assert.equal(second.size, first.size);
});

test("an app's own rules for backups stay, and a prebuild says what they lack", async () => {
  const path = 'android/app/src/main/AndroidManifest.xml';
  const own = read(path).replace('@xml/syncline_backup_rules', '@xml/own_rules');
  writeFileSync(join(APP, path), own);
  const { stdout, stderr } = await prebuild('--no-clean');
  assert.match(stdout + stderr, /fullBackupContent is @xml\/own_rules already.*path="files\/sync"/s);
  assert.doesNotMatch(stdout + stderr, /path="no_backup/);
  assert.equal(read(path), own);
});

test('a wrong option of the plugin is named', async () => {
  edit('app.json', ({ expo }) => {
    expo.plugins = [['expo-syncline', { background: 'yes' }]];
  });
  await assert.rejects(prebuild, /expo-syncline: option background must be true or false/);
});
