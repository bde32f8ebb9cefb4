// The updates that are merged: which field of which document is set to what, spread over all of them.

export const DOCUMENTS = 1000;
export const FIELDS = 10;
/** How many updates a peer makes in one transaction. */
export const TRANSACTION = 1000;

const STRIDE = 6_181;

export function documentName(number) {
  return `document-${String(number).padStart(6, '0')}`;
}

export function fieldName(number) {
  return `field-${number}`;
}

/** A source of updates `[document, field, value]`, in transactions. */
export function transactions() {
  let made = 0;
  return (count) =>
    Array.from({ length: count }, () => {
      made += 1;
      const place = (made * STRIDE) % (DOCUMENTS * FIELDS);
      return [documentName(Math.floor(place / FIELDS)), fieldName(place % FIELDS), made];
    });
}

/** Splits a sample into transactions. */
export function sizes(operations) {
  return Array.from({ length: Math.ceil(operations / TRANSACTION) }, (_, index) =>
    Math.min(TRANSACTION, operations - index * TRANSACTION),
  );
}
