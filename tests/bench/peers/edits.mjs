// What the two devices of `converge` hold and edit.

export const DOCUMENTS = 1000;
export const FIELDS = 8;

export function documentName(number) {
  return `document-${String(number).padStart(6, '0')}`;
}

export function fieldName(number) {
  return `field-${number}`;
}

export function emptyFields() {
  return Object.fromEntries(Array.from({ length: FIELDS }, (_, field) => [fieldName(field), 0]));
}

/** The edits of one device, 1 or 2: `[document, field, value]`. Each overlaps with the other device's. */
export function editsOf(device, count) {
  return Array.from({ length: count }, (_, edit) => [
    documentName(edit % DOCUMENTS),
    fieldName((Math.floor(edit / DOCUMENTS) + device) % FIELDS),
    device * count + edit,
  ]);
}

/** Answers an order with samples of `[elapsed in milliseconds, bytes]`. */
export async function inTurn(samples, sample) {
  const measured = [];
  for (let index = 0; index < samples; index += 1) {
    measured.push(await sample());
  }
  return {
    values: measured.map(([elapsed]) => elapsed),
    also: [measured.map(([, bytes]) => bytes / 1024)],
  };
}
