import { type ConfigPlugin, IOSConfig, withInfoPlist } from 'expo/config-plugins';

/** The tasks that `ios/BackgroundTask.swift` registers. */
export const TASKS = ['dev.syncline.background', 'dev.syncline.background.processing'];

/** A short round now and then, and one while the device charges. */
const MODES = ['fetch', 'processing'];

/** The same as in `ios/PrivacyInfo.xcprivacy`: within a static library, that file alone is not always looked at. */
export const ACCESSED_APIS = [
  {
    NSPrivacyAccessedAPIType: 'NSPrivacyAccessedAPICategoryFileTimestamp',
    NSPrivacyAccessedAPITypeReasons: ['C617.1'],
  },
  {
    NSPrivacyAccessedAPIType: 'NSPrivacyAccessedAPICategoryDiskSpace',
    NSPrivacyAccessedAPITypeReasons: ['E174.1'],
  },
];

export const withBackgroundModes: ConfigPlugin = (config) =>
  withInfoPlist(config, (changed) => {
    const plist = changed.modResults;
    plist.UIBackgroundModes = united(plist.UIBackgroundModes, MODES);
    plist['BGTaskSchedulerPermittedIdentifiers'] = united(
      plist['BGTaskSchedulerPermittedIdentifiers'],
      TASKS,
    );
    return changed;
  });

/** Adds to what the app says of itself; Expo writes it into the app's manifest. */
export const withPrivacyManifest: ConfigPlugin = (config) => ({
  ...config,
  ios: {
    ...config.ios,
    privacyManifests: {
      ...config.ios?.privacyManifests,
      NSPrivacyAccessedAPITypes: IOSConfig.PrivacyInfo.mergePrivacyInfo(config.ios?.privacyManifests ?? {}, {
        NSPrivacyAccessedAPITypes: ACCESSED_APIS,
      }).NSPrivacyAccessedAPITypes,
    },
  },
});

/** What is there, whatever an app wrote, and behind it what is missing. */
function united(present: unknown, wanted: readonly string[]): string[] {
  const kept = Array.isArray(present) ? present.filter((entry) => typeof entry === 'string') : [];
  return [...new Set([...kept, ...wanted])];
}
