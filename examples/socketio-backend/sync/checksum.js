// The checksum of a room: the section "Checksum" of docs/protocol.md. It travels as 16 hexadecimal digits.

const MASK = (1n << 64n) - 1n;

export const EMPTY = '0'.repeat(16);

/** A room's checksum once `after` stands in the place of `before`; null for a document that does not exist. */
export function replaceIn(checksum, before, after) {
  const sum = BigInt(`0x${checksum}`) - ofDocument(before) + ofDocument(after);
  return (sum & MASK).toString(16).padStart(16, '0');
}

function ofDocument(document) {
  if (document === null || document.deleted) return 0n;
  const seq = Buffer.alloc(8);
  seq.writeBigUInt64LE(BigInt(document.seq));
  const bytes = [Buffer.from(document.collection), END, Buffer.from(document.id), END, seq];
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.concat(bytes)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK;
  hash = ((hash ^ (hash >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  hash = ((hash ^ (hash >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return hash ^ (hash >> 31n);
}

/** Ends a name: no UTF-8 text holds this byte. */
const END = Buffer.from([0xff]);
