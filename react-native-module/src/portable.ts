import { invalid } from './error.ts';

/** How deep values may nest: the core refuses deeper ones, and a cycle is infinitely deep. */
const DEPTH_MAX = 64;
/** Characters made at once: a call has only so many arguments. */
const CHUNK_BYTES = 8192;

const RESERVED = ['$bytes', '$object'];

/** Arguments as the core reads them: bytes as `{ $bytes: base64 }`, what looks like that within `$object`. */
export function toPortable(args: readonly unknown[]): unknown[] {
  return args.map((arg, index) => (arg === undefined ? null : encode(arg, `argument ${index + 1}`, 0)));
}

/** Arguments as the app sees them: bytes are a `Uint8Array`. */
export function fromPortable(args: readonly unknown[]): unknown[] {
  return args.map(decode);
}

function encode(value: unknown, place: string, depth: number): unknown {
  if (depth > DEPTH_MAX) throw invalid(`${place} nests deeper than ${DEPTH_MAX} levels, or in a circle`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw invalid(`${place} is ${value}, which is not a JSON number`);
  }
  if (typeof value !== 'object') throw invalid(`${place} is of type ${typeof value}, which cannot be sent`);
  const bytes = bytesOf(value);
  if (bytes) return { $bytes: toBase64(bytes) };
  if (Array.isArray(value)) {
    return value.map((item, index) =>
      item === undefined ? null : encode(item, `${place}[${index}]`, depth + 1),
    );
  }
  return encodeObject(value, place, depth);
}

function encodeObject(value: object, place: string, depth: number): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  // By name, not identity: the object may come from another realm.
  if (prototype !== null && (prototype as object).constructor.name !== 'Object') {
    throw invalid(`${place} is a ${(prototype as object).constructor.name}, not a plain object`);
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const encoded = Object.fromEntries(
    members.map(([key, member]) => [key, encode(member, `${place}.${key}`, depth + 1)]),
  );
  return isReserved(encoded) ? { $object: encoded } : encoded;
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== 'object' || value === null) return value;
  if (!isReserved(value)) return decodeObject(value);
  const { $bytes, $object } = value as { $bytes?: string; $object?: object };
  return $bytes === undefined ? decodeObject($object ?? {}) : fromBase64($bytes);
}

function decodeObject(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, decode(member)]));
}

function isReserved(value: object): boolean {
  const [key, ...others] = Object.keys(value);
  return key !== undefined && others.length === 0 && RESERVED.includes(key);
}

function bytesOf(value: object): Uint8Array | null {
  // By tag, not identity: jest and iframes have constructors of their own.
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const isBuffer = Object.prototype.toString.call(value) === '[object ArrayBuffer]';
  return isBuffer ? new Uint8Array(value as ArrayBuffer) : null;
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(text);
}

function fromBase64(base64: string): Uint8Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}
