import { invalid } from './error.ts';
import type { Parcel } from './host.ts';

/** How deep values may nest: the core refuses deeper ones, and a cycle is infinitely deep. */
const DEPTH_MAX = 64;

/** What the core takes for more than an object, when it is the only key. */
const RESERVED = ['$attachment', '$bytes', '$object'];

/** What the text that is being written has beside it. */
let beside: Uint8Array[] | null = null;

/** Bytes within a command, until its text is written. */
class Attachment {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  toJSON(): unknown {
    if (!beside) throw new Error('bytes are written by pack only');
    return { $attachment: beside.push(this.#bytes) - 1 };
  }
}

/** A command for the core, its bytes beside its text. */
export function pack(command: unknown): Parcel {
  const attachments: Uint8Array[] = [];
  beside = attachments;
  try {
    return { text: JSON.stringify(command), attachments };
  } finally {
    beside = null;
  }
}

/** Arguments for `pack`: bytes as they are now, and what looks like their notation within `$object`. */
export function toPortable(args: readonly unknown[]): unknown[] {
  return args.map((arg, index) => portable(arg, `argument ${index + 1}`));
}

/** One value for `pack`; `place` is what an error calls it. */
export function portable(value: unknown, place: string): unknown {
  return value === undefined ? null : encode(value, place, 0);
}

/** What the core said, as the app sees it: bytes are a `Uint8Array`. */
export function fromPortable(value: unknown, attachments: readonly Uint8Array[]): unknown {
  if (Array.isArray(value)) return value.map((item) => fromPortable(item, attachments));
  if (typeof value !== 'object' || value === null) return value;
  const { $attachment, $object } = value as { $attachment?: unknown; $object?: unknown };
  if (isReserved(value)) {
    if (typeof $attachment === 'number') return attachments[$attachment];
    if (typeof $object === 'object' && $object !== null) return membersFrom($object, attachments);
  }
  return membersFrom(value, attachments);
}

function membersFrom(value: object, attachments: readonly Uint8Array[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, fromPortable(member, attachments)]),
  );
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
  if (bytes) return new Attachment(bytes);
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

function isReserved(value: object): boolean {
  const [key, ...others] = Object.keys(value);
  return key !== undefined && others.length === 0 && RESERVED.includes(key);
}

/** A copy: what the app does to its bytes later changes nothing. */
function bytesOf(value: object): Uint8Array | null {
  // By tag, not identity: jest and iframes have constructors of their own.
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  }
  const isBuffer = Object.prototype.toString.call(value) === '[object ArrayBuffer]';
  return isBuffer ? new Uint8Array(value as ArrayBuffer).slice() : null;
}
