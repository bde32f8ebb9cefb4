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
