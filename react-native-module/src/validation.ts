import { invalid, type SynclineError } from './error.ts';

/** The part of the Standard Schema interface that is used: Zod, Valibot, ArkType and others have it. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** A schema, or a function that returns the value, as it shall be, or throws. */
export type Validator<Output = unknown> = StandardSchema<Output> | ((value: unknown) => Output);

/** The value as the validator wants it. Throws, or rejects, when it is not valid. */
export function validated(validator: Validator, value: unknown): unknown {
  if (typeof validator === 'function') return validator(value);
  const result = validator['~standard'].validate(value);
  return result instanceof Promise ? result.then(accepted) : accepted(result);
}

function accepted(result: StandardResult<unknown>): unknown {
  if (!result.issues) return result.value;
  throw new TypeError(result.issues.map(({ message }) => message).join('; '));
}

/** What is checked of what comes from the server, or from the device's disk. */
export interface Validation {
  /**
   * By collection: checks the fields of every document before anybody sees it. Validators that answer with a promise are not
   * for documents.
   */
  readonly collections?: Readonly<Record<string, Validator>>;
  /** By event: checks the first argument before any listener of `client.socket` sees it. */
  readonly events?: Readonly<Record<string, Validator>>;
}

/** The fields of a document as its validator wants them. Throws a `SynclineError` when they are not valid. */
export function validDocument(validator: Validator, collection: string, id: string, fields: object): object {
  let why = 'it is no object';
  try {
    const value = validated(validator, fields);
    if (value instanceof Promise) {
      value.catch(() => undefined);
      why = 'its validator answers with a promise';
    } else if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  throw invalid(`the document ${id} of ${collection} is not valid: ${why}`);
}

/** Checks the documents of one collection: null for one that is not valid, which is reported. */
export type Admission = (id: string, fields: object) => object | null;

export function admissionTo(
  { collections = {} }: Validation,
  report: (error: SynclineError) => void,
): (collection: string) => Admission | null {
  return (collection) => {
    const validator = Object.hasOwn(collections, collection) ? collections[collection] : undefined;
    if (!validator) return null;
    return (id, fields) => {
      try {
        return validDocument(validator, collection, id, fields);
      } catch (error) {
        report(error as SynclineError);
        return null;
      }
    };
  };
}
