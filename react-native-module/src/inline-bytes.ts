// Bytes where JSON is all there is: `{ $bytes: base64 }`, as in the transcripts.
import type { Parcel } from './host.ts';
import { invalid } from './error.ts';
import { fromPortable, pack } from './portable.ts';

/** Characters made at once: a call has only so many arguments. */
const CHUNK_BYTES = 8_192;

/** The text of a parcel with its bytes in it. */
export function unpacked(parcel: Parcel): string {
  return parcel.text.includes('$attachment') ? JSON.stringify(inlined(parcel)) : parcel.text;
}

/** The same the other way round: bytes beside the text. */
export function packed(value: unknown): Parcel {
  const { bare, attachments } = detached(value);
  return { text: JSON.stringify(bare), attachments };
}

/** What was written so, as the app sees it. */
export function read(written: unknown): unknown {
  const { bare, attachments } = detached(written);
  return fromPortable(bare, attachments);
}

/** What is meant for `pack`, written so. */
export function written(command: unknown): unknown {
  return inlined(pack(command));
}

function inlined({ text, attachments }: Parcel): unknown {
  return replaced(JSON.parse(text), '$attachment', ({ $attachment: index }) => {
    const bytes = typeof index === 'number' ? attachments[index] : undefined;
    if (!bytes) throw invalid(`there is no attachment ${String(index)}`);
    return { $bytes: toBase64(bytes) };
  });
}

function detached(value: unknown): { readonly bare: unknown; readonly attachments: readonly Uint8Array[] } {
  const attachments: Uint8Array[] = [];
  const bare = replaced(value, '$bytes', ({ $bytes: base64 }) => {
    if (typeof base64 !== 'string') return undefined;
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return { $attachment: attachments.push(bytes) - 1 };
  });
  return { bare, attachments };
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(text);
}

type Only<Key extends string> = Readonly<Record<Key, unknown>>;

/** A copy, with each object whose only member is `key` replaced where `replace` has something for it. */
function replaced<Key extends string>(
  value: unknown,
  key: Key,
  replace: (found: Only<Key>) => object | undefined,
): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, key, replace));
  const members = Object.entries(value);
  const [first, ...others] = members;
  if (others.length === 0 && first?.[0] === key) return replace(value as Only<Key>) ?? value;
  // What is below `$object` only looks like the notation.
  if (others.length === 0 && first?.[0] === '$object') return { $object: below(first[1]) };
  return below(value);

  function below(of: unknown): unknown {
    if (typeof of !== 'object' || of === null) return of;
    return Object.fromEntries(
      Object.entries(of).map(([name, member]) => [name, replaced(member, key, replace)]),
    );
  }
}
