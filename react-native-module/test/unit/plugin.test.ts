import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { ExportedConfig } from 'expo/config-plugins';

import { RULE_FILES, isOurs, reference } from '../../plugin/src/backup-rules.ts';
import withSyncline from '../../plugin/src/index.ts';
import { ACCESSED_APIS, TASKS } from '../../plugin/src/ios.ts';
import { checkOptions } from '../../plugin/src/options.ts';

const ROOT = resolve(__dirname, '../..');

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const app = (more: Partial<ExportedConfig> = {}): ExportedConfig => ({ name: 'app', slug: 'app', ...more });

const texts = (xml: string) => [...xml.matchAll(/<string>([^<]*)<\/string>/g)].map(([, text]) => text);

it('says of files what the module itself says', () => {
  const said = ACCESSED_APIS.flatMap((api) => [
    api.NSPrivacyAccessedAPIType,
    ...api.NSPrivacyAccessedAPITypeReasons,
  ]);
  expect(said).toEqual(texts(read('ios/PrivacyInfo.xcprivacy')));
});

it('permits the tasks that the module registers', () => {
  const registered = [...read('ios/BackgroundTask.swift').matchAll(/= "(dev\.syncline[^"]*)"/g)];
  expect(registered.map(([, identifier]) => identifier)).toEqual(TASKS);
});

it('adds to the privacy manifest of the app, and takes nothing from it', () => {
  const own = {
    NSPrivacyTracking: true,
    NSPrivacyAccessedAPITypes: [
      {
        NSPrivacyAccessedAPIType: 'NSPrivacyAccessedAPICategoryDiskSpace',
        NSPrivacyAccessedAPITypeReasons: ['85F4.1'],
      },
    ],
  };
  const changed = withSyncline(app({ ios: { privacyManifests: own } }), undefined);
  const manifest = changed.ios?.privacyManifests;
  expect(manifest?.NSPrivacyTracking).toBe(true);
  const [space, timestamps] = manifest?.NSPrivacyAccessedAPITypes ?? [];
  expect(space?.NSPrivacyAccessedAPITypeReasons).toEqual(['85F4.1', 'E174.1']);
  expect(timestamps?.NSPrivacyAccessedAPITypeReasons).toEqual(['C617.1']);
});

it('does what is asked for, and no more', () => {
  const none: ExportedConfig = withSyncline(app(), {
    background: false,
    privacyManifest: false,
    backupExclude: [],
  });
  expect(none.ios).toBeUndefined();
  expect(none.mods?.ios).toBeUndefined();
  expect(none.mods?.android?.dangerous).toBeUndefined();
  expect(none.android?.permissions).toEqual([
    'android.permission.INTERNET',
    'android.permission.ACCESS_NETWORK_STATE',
  ]);
});

it('does nothing the second time', () => {
  const once = withSyncline(app(), undefined);
  const permissions = [...(once.android?.permissions ?? [])];
  const twice = withSyncline(once, { privacyManifest: true });
  expect(twice.android?.permissions).toEqual(permissions);
  expect(twice.ios?.privacyManifests).toEqual({ NSPrivacyAccessedAPITypes: ACCESSED_APIS });
});

it.each([
  [7, 'options must be an object'],
  [
    { backgroud: true },
    'there is no option backgroud; there are: background, privacyManifest, backupExclude',
  ],
  [{ background: 'yes' }, 'option background must be true or false'],
  [{ backupExclude: 'files' }, 'option backupExclude must be a list of folders'],
  [{ backupExclude: ['/data/files'] }, 'option backupExclude must be a list of folders'],
  [{ backupExclude: ['files/../databases'] }, 'option backupExclude must be a list of folders'],
  [{ backupExclude: ['a"/><include path="b'] }, 'option backupExclude must be a list of folders'],
])('refuses %j', (options, message) => {
  expect(() => checkOptions(options)).toThrow(`expo-syncline: ${message}`);
});

it('leaves the rules of an app alone, and replaces only what says nothing', () => {
  for (const file of RULE_FILES) {
    expect(isOurs(file, undefined)).toBe(true);
    expect(isOurs(file, 'true')).toBe(true);
    expect(isOurs(file, reference(file))).toBe(true);
    expect(isOurs(file, 'false')).toBe(false);
    expect(isOurs(file, '@xml/secure_store_backup_rules')).toBe(false);
  }
});
