import { type ConfigPlugin, createRunOncePlugin } from 'expo/config-plugins';

import { withBackupRules, withPermissions } from './android.ts';
import { withBackgroundModes, withPrivacyManifest } from './ios.ts';
import { checkOptions, type PluginOptions } from './options.ts';

export type { PluginOptions } from './options.ts';

/** Prepares the native projects that `expo prebuild` makes. */
const withSyncline: ConfigPlugin<PluginOptions | undefined> = (config, options) => {
  const { background, privacyManifest, backupExclude } = checkOptions(options);
  let changed = withPermissions(config, { background });
  if (background) changed = withBackgroundModes(changed);
  if (privacyManifest) changed = withPrivacyManifest(changed);
  if (backupExclude.length > 0) changed = withBackupRules(changed, backupExclude);
  return changed;
};

export default createRunOncePlugin(withSyncline, 'expo-syncline');
