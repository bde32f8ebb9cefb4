import type { ClientConfig, ConflictStrategy, DeviceOptions } from './contract.ts';
import { invalid } from './error.ts';
import type { Validation } from './validation.ts';

/** A fixed token, or a function that fetches one: it is called whenever the core needs another. */
export type Auth =
  { readonly token: string } | { readonly getToken: () => Promise<string | null> | string | null };

type FetchingAuth = Extract<Auth, { getToken: unknown }>;

/** Whether tokens are fetched. */
export function fetches(auth: Auth | null): auth is FetchingAuth {
  return auth !== null && 'getToken' in auth;
}

export function authKind(auth: Auth | null): 'none' | 'token' | 'getToken' {
  if (auth === null) return 'none';
  return fetches(auth) ? 'getToken' : 'token';
}

/** The token that was given once and for all. */
export function fixedToken(auth: Auth | null): string | null {
  return auth === null || fetches(auth) ? null : auth.token;
}

export interface SyncOptions extends Omit<ClientConfig, 'token'>, DeviceOptions {
  /** Tells several clients of one app apart, such as one per account. `default` when absent. */
  readonly name?: string;
  readonly auth?: Auth;
  /** Checks what comes in. What is not valid becomes an error event, and is shown to nobody. */
  readonly validate?: Validation;
}

const NAME_DEFAULT = 'default';

/** A name becomes a folder's name. */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const CONFLICT_STRATEGIES: readonly ConflictStrategy[] = [
  'merge',
  'last_write_wins',
  'first_write_wins',
  'server_wins',
  'client_wins',
  'manual',
];

type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === 'string' && value !== '';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const oneOf =
  (...values: string[]): Check =>
  (value) =>
    typeof value === 'string' && values.includes(value);

const CHECKS: Record<keyof SyncOptions, [Check, string]> = {
  url: [isString, 'a URL such as "https://sync.example.com"'],
  name: [
    (value) => typeof value === 'string' && NAME_PATTERN.test(value),
    '1 to 64 letters, digits, dots, dashes and underscores',
  ],
  auth: [isAuth, '{ token: string } or { getToken: () => Promise<string | null> }'],
  validate: [isObject, '{ collections?, events? } of schemas or functions by name'],
  directory: [isString, 'a path'],
  store: [oneOf('disk', 'memory'), '"disk" or "memory"'],
  path: [isString, 'a path such as "/socket.io/"'],
  namespace: [isString, 'a namespace such as "/chat"'],
  apiUrl: [isString, 'a URL such as "https://api.example.com"'],
  parser: [oneOf('msgpack', 'json'), '"msgpack" or "json"'],
  caPem: [isString, 'a certificate in PEM'],
  encryptionKey: [isString, 'the base64 of 32 bytes'],
  encryption: [oneOf('device'), '"device"'],
  previousEncryptionKeys: [(value) => Array.isArray(value) && value.every(isString), 'a list of keys'],
  installationId: [isString, 'a string'],
  pins: [(value) => Array.isArray(value) && value.every(isString), 'a list of "sha256/BASE64", at least two'],
  proxy: [isString, 'a URL such as "http://proxy.example.com:3128"'],
  background: [isObject, '{ everyMs?, deadlineMs? }'],
  autoConnect: [(value) => typeof value === 'boolean', 'a boolean'],
  conflict: [oneOf(...CONFLICT_STRATEGIES), 'a conflict strategy such as "merge"'],
  collections: [isObject, '{ [name]: { conflict?, pushDebounceMs?, coalesce?, indexes? } }'],
  schema: [isObject, '{ version: number, migrations?: [{ to, steps }] }'],
  settings: [isObject, 'an object of limits and timeouts'],
};

function isAuth(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if ('getToken' in value) return typeof value.getToken === 'function' && !('token' in value);
  return 'token' in value && isString(value.token);
}

/** What a client of the core is opened with. */
export type OpenOptions = ClientConfig & DeviceOptions;

/** Options that have been checked. */
export interface CheckedOptions {
  readonly name: string;
  readonly auth: Auth | null;
  readonly validate: Validation;
  /** All that the core is told, but for the token and the default directory. */
  readonly config: OpenOptions;
}

/** Checks the options' shapes. Throws a `SynclineError` with the code `invalid` that names the wrong one. */
export function checkOptions(options: SyncOptions): CheckedOptions {
  if (!isObject(options)) throw invalid('options must be an object with at least { url }');
  for (const [key, value] of Object.entries(options) as [string, unknown][]) {
    if (!Object.hasOwn(CHECKS, key)) throw invalid(`there is no option ${key}`);
    const [isRight, expected] = CHECKS[key as keyof SyncOptions];
    if (value !== undefined && !isRight(value)) throw invalid(`option ${key} must be ${expected}`);
  }
  const { name = NAME_DEFAULT, auth = null, validate = {}, ...config } = options;
  if ((config.url as string | undefined) === undefined) {
    throw invalid(`option url must be ${CHECKS.url[1]}`);
  }
  return { name, auth, validate, config };
}
