// Bytes at the fake's edge. Within it they are base64, as in the transcripts: `{ $bytes: '…' }`.
import type { Parcel } from '../host.ts';
import { Failure } from './errors.ts';
import { fromPortable, pack, toPortable } from '../portable.ts';

/** The text of a parcel with its bytes in it. */
export function unpacked({ text, attachments }: Parcel): string {
  if (!text.includes('$attachment')) return text;
  const within = ({ $attachment: index }: Only<'$attachment'>) => {
    const bytes = typeof index === 'number' ? attachments[index] : undefined;
    if (!bytes) throw new Failure('invalid', `there is no attachment ${String(index)}`);
    return { $bytes: btoa(String.fromCharCode(...bytes)) };
  };
  return JSON.stringify(replaced(JSON.parse(text), '$attachment', within));
}

/** What the fake says, its bytes beside the text. */
export function packed(value: unknown): Parcel {
  const attachments: Uint8Array[] = [];
  const beside = ({ $bytes: base64 }: Only<'$bytes'>) => {
    if (typeof base64 !== 'string') return undefined;
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return { $attachment: attachments.push(bytes) - 1 };
  };
  return { text: JSON.stringify(replaced(value, '$bytes', beside)), attachments };
}

/** Arguments as the app sees them. */
export function toValues(args: readonly unknown[]): unknown[] {
  const { text, attachments } = packed(args);
  return fromPortable(JSON.parse(text), attachments) as unknown[];
}

/** What an app's server says, as it is within the fake. */
export function fromValues(values: readonly unknown[]): unknown[] {
  return JSON.parse(unpacked(pack(toPortable(values)))) as unknown[];
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
