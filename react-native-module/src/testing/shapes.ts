// What a configuration and a command may look like: the core refuses anything else with `invalid`.
import type { ClientConfig, Command, DeviceOptions, JobCommand } from '../contract.ts';
import { CONFLICT_STRATEGIES } from '../options.ts';
import { Failure } from './errors.ts';
import { DEFAULTS } from './settings.ts';
import { isObject } from './values.ts';

type Shape = (value: unknown) => boolean;

const TEXT_BYTES_MAX = 256;
const ROOM_BYTES_MAX = 128;
const COLLECTION_BYTES_MAX = 64;
const ID_BYTES_MAX = 128;

const any: Shape = (value) => value !== undefined;
const text: Shape = (value) => typeof value === 'string';
const boolean: Shape = (value) => typeof value === 'boolean';
const count: Shape = (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const integer: Shape = (value) => typeof value === 'number' && Number.isInteger(value);
const object: Shape = (value) => isObject(value);
const named =
  (bytesMax: number): Shape =>
  (value) =>
    typeof value === 'string' && value !== '' && utf8Length(value) <= bytesMax && !hasControl(value);
const name = named(TEXT_BYTES_MAX);
const room = named(ROOM_BYTES_MAX);
const optional =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || value === null || shape(value);
const list =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape);
const pair =
  (first: Shape, second: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.length === 2 && first(value[0]) && second(value[1]);
const oneOf =
  (...values: string[]): Shape =>
  (value) =>
    typeof value === 'string' && values.includes(value);
const either =
  (...shapes: Shape[]): Shape =>
  (value) =>
    shapes.some((shape) => shape(value));
/** An object with these members, and perhaps others. */
const members =
  (shapes: Record<string, Shape>): Shape =>
  (value) =>
    isObject(value) && Object.entries(shapes).every(([key, shape]) => shape(value[key]));
/** An object with exactly one member, which is one of these. */
const variant =
  (shapes: Record<string, Shape>): Shape =>
  (value) => {
    if (!isObject(value)) return false;
    const [key, ...others] = Object.keys(value);
    return (
      key !== undefined &&
      others.length === 0 &&
      Object.hasOwn(shapes, key) &&
      (shapes[key]?.(value[key]) ?? false)
    );
  };
const values =
  (shape: Shape): Shape =>
  (value) =>
    isObject(value) && Object.values(value).every(shape);

function utf8Length(value: string): number {
  return new TextEncoder().encode(value).length;
}

function hasControl(value: string): boolean {
  return Array.from(value).some((char) => char < ' ' || char === '\u007f');
}

const comparison = pair(text, any);
const filter: Shape = (value) =>
  variant({
    and: list(filter),
    or: list(filter),
    not: filter,
    eq: comparison,
    ne: comparison,
    lt: comparison,
    lte: comparison,
    gt: comparison,
    gte: comparison,
    in: pair(text, list(any)),
    contains: comparison,
    exists: text,
  })(value);
const operation = either(
  oneOf('unset', 'server_time'),
  variant({ set: any, increment: any, union: list(any), remove: list(any), append: list(any) }),
);
const write = either(oneOf('delete'), variant({ create: object, update: values(operation) }));
const document = { room, collection: named(COLLECTION_BYTES_MAX), id: named(ID_BYTES_MAX) };
const topic = { namespace: optional(name), event: name };
const socketRoom = { namespace: optional(name), room };
const work = variant({
  event: members({ namespace: optional(name), name, args: optional(list(any)) }),
  request: members({ method: name, url: name, headers: optional(values(text)) }),
  handler: members({ key: name }),
});
const kind = oneOf('event', 'request', 'handler');
const newJob = members({
  work,
  lane: optional(name),
  dedupeKey: optional(name),
  dedupe: optional(boolean),
  priority: optional(integer),
  after: optional(list(count)),
  ttlMs: optional(count),
  attemptsMax: optional((value) => count(value) && value !== 0),
  policy: optional(oneOf('continue', 'hold', 'stream')),
  keepOutcome: optional(boolean),
});
const appState = oneOf('active', 'inactive', 'background');

const JOB_COMMANDS: Record<JobCommand['type'], Record<string, Shape>> = {
  enqueue: { jobs: list(newJob) },
  list: { after: optional(count) },
  deadLetters: {},
  outcomes: {},
  acknowledge: { job: count },
  retry: { job: count, work: optional(work) },
  edit: { job: count, work },
  drop: { job: count },
  clear: { kinds: optional(list(kind)), deadLetters: optional(boolean) },
  process: {},
  setAuto: { enabled: boolean },
  registerHandlers: { keys: list(name) },
  extendLease: { job: count, lease: count },
  complete: { job: count, lease: count },
  fail: {
    job: count,
    lease: count,
    category: oneOf('NETWORK', 'SERVER', 'AUTH', 'CONFLICT', 'VALIDATION', 'UNKNOWN'),
    code: optional(text),
    message: optional(text),
    retryAfterMs: optional(count),
  },
};

const COMMANDS: Record<Command['type'], Record<string, Shape>> = {
  connect: {},
  disconnect: {},
  setToken: { token: optional(text), expiresAtMs: optional(count) },
  tokenFailed: { message: text, request: optional(count), retryable: optional(boolean) },
  setAppState: { state: appState },
  setNetwork: { network: members({ available: boolean, expensive: boolean, kind: text }) },
  subscribe: { room },
  unsubscribe: { room },
  write: { writes: list(members({ ...document, write })) },
  newId: {},
  document,
  watch: {
    ...document,
    id: optional(document.id),
    filter: optional(filter),
    orderBy: optional(list(members({ path: text, direction: optional(oneOf('asc', 'desc')) }))),
    limit: optional(count),
    after: optional(members({ values: list(any), id: name })),
  },
  unwatch: { watch: count },
  presenceJoin: { room, state: object },
  presenceUpdate: { room, state: object, expiresInMs: optional(count) },
  presenceLeave: { room },
  emit: { ...topic, args: optional(list(any)), volatile: optional(boolean) },
  emitWithAck: { ...topic, args: optional(list(any)), timeoutMs: optional(count) },
  on: topic,
  off: topic,
  ack: { token: count, args: list(any) },
  joinRoom: socketRoom,
  leaveRoom: socketRoom,
  connectNamespace: { namespace: name, auth: optional(object) },
  disconnectNamespace: { namespace: name },
  connection: {},
  queue: {},
  outcomes: {},
  acknowledgeOutcome: { clientSeq: count },
  conflicts: {},
  resolveConflict: {
    clientSeq: count,
    resolution: either(oneOf('local', 'server'), variant({ merged: object })),
  },
  syncNow: {},
  pull: { room: optional(room) },
  flush: {},
  syncOnce: { deadlineMs: count },
  stats: {},
  trace: {},
  jobs: { command: object },
  close: {},
};

const strategy = oneOf(...CONFLICT_STRATEGIES);

const CONFIG: Record<keyof ClientConfig | keyof DeviceOptions, Shape> = {
  url: text,
  path: optional(text),
  apiUrl: optional(text),
  directory: optional(name),
  store: optional(oneOf('disk', 'memory')),
  encryptionKey: optional(isKey),
  previousEncryptionKeys: optional(list(isKey)),
  installationId: optional(text),
  token: optional(text),
  namespace: optional(text),
  parser: optional(oneOf('json', 'msgpack')),
  caPem: optional(text),
  pins: optional(list(text)),
  proxy: optional(text),
  autoConnect: optional(boolean),
  conflict: optional(strategy),
  collections: optional(
    values(
      members({ conflict: optional(strategy), pushDebounceMs: optional(count), coalesce: optional(boolean) }),
    ),
  ),
  schema: optional(members({ version: count, migrations: optional(list(object)) })),
  settings: optional(
    (value) => isObject(value) && Object.keys(value).every((key) => Object.hasOwn(DEFAULTS, key)),
  ),
  encryption: optional(oneOf('device')),
  background: optional(object),
};

/** 32 bytes in base64. */
function isKey(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9+/]{43}=$/.test(value);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new Failure('invalid', `this is no JSON: ${String(error)}`);
  }
}

function checkMembers(what: string, value: Record<string, unknown>, shapes: Record<string, Shape>): void {
  for (const [key, shape] of Object.entries(shapes)) {
    if (!shape(value[key])) throw new Failure('invalid', `${what}: ${key} is not as it must be`);
  }
}

function checkTagged(what: string, value: unknown, table: Record<string, Record<string, Shape>>): void {
  if (!isObject(value)) throw new Failure('invalid', `${what} is no object`);
  const { type } = value;
  const shapes = typeof type === 'string' && Object.hasOwn(table, type) ? table[type] : undefined;
  if (!shapes) throw new Failure('invalid', `there is no ${what} ${JSON.stringify(type)}`);
  checkMembers(what, value, shapes);
}

export function parseCommand(json: string): Command {
  const command = parse(json);
  checkTagged('command', command, COMMANDS);
  const checked = command as Command;
  if (checked.type === 'jobs') checkTagged('command of the queue', checked.command, JOB_COMMANDS);
  return checked;
}

export function parseConfig(json: string): ClientConfig & DeviceOptions {
  const config = parse(json);
  if (!isObject(config)) throw new Failure('invalid', 'the configuration is no object');
  for (const key of Object.keys(config)) {
    if (!Object.hasOwn(CONFIG, key)) throw new Failure('invalid', `there is no option ${key}`);
  }
  checkMembers('the configuration', config, CONFIG);
  const checked = config as unknown as ClientConfig & DeviceOptions;
  if (!/^https?:\/\/[^/]+/.test(checked.url))
    throw new Failure('invalid_url', `${checked.url} is no address`);
  if (checked.store !== 'memory' && checked.directory === undefined) {
    throw new Failure('invalid', 'directory is needed');
  }
  return checked;
}
