// Values that hold bytes as JSON for people: bytes are `{ $bytes: base64 }`, and what looks like that is within `$object`.

/** What means more than an object, when it is the only key. */
const RESERVED = ['$bytes', '$object'];
/** Characters made at once: a call has only so many arguments. */
const CHUNK_BYTES = 8_192;

/** The same value without bytes. */
export function withoutBytes(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutBytes);
  const bytes = bytesOf(value);
  if (bytes) return { $bytes: toBase64(bytes) };
  const members = mapped(value, withoutBytes);
  return isReserved(members) ? { $object: members } : members;
}

/** The value with its bytes again. */
export function withBytes(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withBytes);
  const { $bytes, $object } = value as { $bytes?: unknown; $object?: unknown };
  if (isReserved(value)) {
    if (typeof $bytes === 'string') return fromBase64($bytes);
    if (typeof $object === 'object' && $object !== null) return mapped($object, withBytes);
  }
  return mapped(value, withBytes);
}

function mapped(value: object, change: (member: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, change(member)]));
}

function isReserved(value: object): boolean {
  const [key, ...others] = Object.keys(value);
  return key !== undefined && others.length === 0 && RESERVED.includes(key);
}

function bytesOf(value: object): Uint8Array | null {
  // By tag, not identity: other realms have constructors of their own.
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
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}
