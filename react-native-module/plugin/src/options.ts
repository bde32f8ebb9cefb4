/** What an app may say beside the plugin's name in its `app.json`. */
export interface PluginOptions {
  /** Whether the system may wake the app up for a round of synchronization. `true` when absent. */
  readonly background?: boolean;
  /** Whether what the core does with files is told in the app's own privacy manifest. `true` when absent. */
  readonly privacyManifest?: boolean;
  /**
   * Folders of the app's data that no backup of Android takes, relative to the app's data folder. By default those of
   * clients that were given no `directory`; empty leaves the app's rules for backups alone.
   */
  readonly backupExclude?: readonly string[];
}

/** Where Android keeps the clients' files and secrets. The system leaves the folder out, and these rules say so to others. */
export const DEFAULT_FOLDERS: readonly string[] = ['no_backup/syncline', 'no_backup/syncline-secrets'];

const DEFAULTS: Required<PluginOptions> = {
  background: true,
  privacyManifest: true,
  backupExclude: DEFAULT_FOLDERS,
};

const isBoolean = (value: unknown): boolean => typeof value === 'boolean';

/** A path within the app's data that needs no escaping in XML. */
const FOLDER_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

const isFolder = (value: unknown): boolean => typeof value === 'string' && FOLDER_PATTERN.test(value);

const CHECKS: Record<keyof PluginOptions, [(value: unknown) => boolean, string]> = {
  background: [isBoolean, 'true or false'],
  privacyManifest: [isBoolean, 'true or false'],
  backupExclude: [
    (value) => Array.isArray(value) && value.every(isFolder),
    'a list of folders within the app\'s data, such as "files/sync"',
  ],
};

/** The options with their defaults. Throws an error that names the wrong one. */
export function checkOptions(options: unknown): Required<PluginOptions> {
  if (options === undefined || options === null) return DEFAULTS;
  if (typeof options !== 'object' || Array.isArray(options)) throw wrong('options must be an object');
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) {
      throw wrong(`there is no option ${name}; there are: ${Object.keys(CHECKS).join(', ')}`);
    }
    const [isRight, expected] = CHECKS[name as keyof PluginOptions];
    if (!isRight(value)) throw wrong(`option ${name} must be ${expected}`);
  }
  return { ...DEFAULTS, ...options };
}

function wrong(message: string): Error {
  return new Error(`expo-syncline: ${message}`);
}
