import type { Fields } from './ops.ts';
import type { AnyEvents } from './socket.ts';

/**
 * What the app declares once, for every hook to infer from:
 *
 *     declare module 'expo-syncline' {
 *       interface Register {
 *         listenEvents: { 'message:new': (message: Message) => void };
 *         emitEvents: { 'message:send': (text: string, answer: (sent: { id: string }) => void) => void };
 *         collections: { tasks: Task };
 *         rooms: `list:${string}` | `user:${string}`;
 *       }
 *     }
 */
// Declarations of the app are merged into it.
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface Register {}

/** What is declared under a key, or what holds without a declaration. */
type Declared<Key extends string, Otherwise> =
  Register extends Readonly<Record<Key, infer Given extends Otherwise>> ? Given : Otherwise;

type IsDeclared<Key extends string> = Register extends Readonly<Record<Key, unknown>> ? true : false;

/** The server's events. */
export type ListenEvents =
  Register extends Readonly<Record<'listenEvents', infer Given extends object>> ? Given : AnyEvents;

/** The app's events, and their answers. */
export type EmitEvents =
  Register extends Readonly<Record<'emitEvents', infer Given extends object>> ? Given : AnyEvents;

/** The types of the documents, by collection. */
export type Collections =
  Register extends Readonly<Record<'collections', infer Given extends object>>
    ? Given
    : Record<string, Fields>;

// Names that are declared may be more than text.
// eslint-disable-next-line @typescript-eslint/no-duplicate-type-constituents
export type CollectionName = keyof Collections & string;

/** What a document of a collection holds. */
export type DocumentOf<Name extends CollectionName> = Extract<Collections[Name], object>;

export type RoomName = Declared<'rooms', string>;

/** The documents of a hook that is not told their type: of any kind, unless the app has declared its collections. */
export type UndeclaredFields = IsDeclared<'collections'> extends true ? never : Fields;

/** A collection in a room, by the names that the app has declared. */
export interface DeclaredRef<Name extends CollectionName = CollectionName> {
  readonly room: RoomName;
  readonly collection: Name;
}

/** What a hook takes of documents of type `T`: nothing, where their type is not known. */
export type Known<T, Given> = [T] extends [never] ? never : Given;
