// The rows of `render`.

export const ROWS = 10_000;

export const idOf = (row) => `r${String(row % ROWS).padStart(5, '0')}`;

export const rowsAtFirst = () =>
  Array.from({ length: ROWS }, (_, row) => ({ id: idOf(row), position: row, text: 'x' }));
