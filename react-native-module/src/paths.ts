/** A field name as it is spelled within a path: its own dots and backslashes are escaped by a backslash. */
export function escapeSegment(name: string): string {
  return name.replace(/[\\.]/g, '\\$&');
}

/** The path through these field names, outermost first. */
export function path(...names: [string, ...string[]]): string {
  return names.map(escapeSegment).join('.');
}

/** The field names that a dotted path leads through, outermost first. */
export function segments(text: string): string[] {
  const names: string[] = [];
  let name = '';
  for (const [part, escaped] of text.matchAll(/\\([\\.])|\.|[^\\.]+/g)) {
    if (part === '.') {
      names.push(name);
      name = '';
    } else {
      name += escaped ?? part;
    }
  }
  return [...names, name];
}

type EscapeBackslash<Name extends string> = Name extends `${infer Head}\\${infer Tail}`
  ? `${Head}\\\\${EscapeBackslash<Tail>}`
  : Name;

type EscapeDot<Name extends string> = Name extends `${infer Head}.${infer Tail}`
  ? `${Head}\\.${EscapeDot<Tail>}`
  : Name;

type Escape<Name extends string> = EscapeDot<EscapeBackslash<Name>>;

type Primitive = string | number | boolean | null | undefined;

/** Bounds the recursion of `PathValues`: paths of typed documents go six levels deep. */
type Shallower = [never, 0, 1, 2, 3, 4, 5];

type UnionToIntersection<U> = (U extends unknown ? (member: U) => void : never) extends (all: infer I) => void
  ? I
  : never;

type Nested<Prefix extends string, Value, Depth extends number> = Value extends Primitive | readonly unknown[]
  ? never
  : {
      [Path in keyof PathValues<Value, Depth> & string as `${Prefix}.${Path}`]: PathValues<
        Value,
        Depth
      >[Path];
    };

/** Maps every dotted path of a document of type `T` to the type of what it leads to. */
export type PathValues<T, Depth extends number = 6> = [Depth] extends [never]
  ? unknown
  : { [Key in keyof T & string as Escape<Key>]-?: T[Key] } & UnionToIntersection<
      {
        [Key in keyof T & string]-?: Nested<Escape<Key>, NonNullable<T[Key]>, Shallower[Depth]>;
      }[keyof T & string]
    >;

/** Every dotted path of a document of type `T`. */
export type PathOf<T> = keyof PathValues<T> & string;
