import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  AndroidConfig,
  type ConfigPlugin,
  WarningAggregator,
  withAndroidManifest,
  withDangerousMod,
} from 'expo/config-plugins';

import { isOurs, reference, RULE_FILES } from './backup-rules.ts';
import { DEFAULT_FOLDERS } from './options.ts';

const CONNECTION_PERMISSIONS = ['android.permission.INTERNET', 'android.permission.ACCESS_NETWORK_STATE'];

/** WorkManager keeps the device awake during a round, and comes back after a restart. */
const BACKGROUND_PERMISSIONS = ['android.permission.WAKE_LOCK', 'android.permission.RECEIVE_BOOT_COMPLETED'];

export const withPermissions: ConfigPlugin<{ background: boolean }> = (config, { background }) =>
  AndroidConfig.Permissions.withPermissions(config, [
    ...CONNECTION_PERMISSIONS,
    ...(background ? BACKGROUND_PERMISSIONS : []),
  ]);

/** Names rules for backups in the manifest, unless the app has its own. */
export const withBackupRules: ConfigPlugin<readonly string[]> = (config, folders) => {
  const named = withAndroidManifest(config, (changed) => {
    const { $: attributes } = AndroidConfig.Manifest.getMainApplicationOrThrow(changed.modResults);
    for (const file of RULE_FILES) {
      const present = attributes[file.attribute];
      if (isOurs(file, present)) attributes[file.attribute] = reference(file);
      else warnOf(file.attribute, present, folders);
    }
    return changed;
  });
  return withDangerousMod(named, [
    'android',
    async (changed) => {
      const resources = join(changed.modRequest.platformProjectRoot, 'app', 'src', 'main', 'res', 'xml');
      await mkdir(resources, { recursive: true });
      for (const { resource, xml } of RULE_FILES) {
        await writeFile(join(resources, `${resource}.xml`), xml(folders));
      }
      return changed;
    },
  ]);
};

/** The system leaves the default folders out by itself: only another one needs a rule. */
function warnOf(attribute: string, present: string | undefined, folders: readonly string[]): void {
  const missed = folders.filter((folder) => !DEFAULT_FOLDERS.includes(folder));
  if (missed.length === 0 || present === 'false') return;
  const excludes = missed.map((folder) => `<exclude domain="root" path="${folder}"/>`).join(' ');
  WarningAggregator.addWarningAndroid(
    'expo-syncline',
    `${attribute} is ${String(present)} already, and is left as it is. Add to that file: ${excludes}`,
  );
}
