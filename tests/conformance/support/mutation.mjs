/** A mutation of the collection `tasks`, with `parts` in it. */
export const mutation = (parts = {}) => ({
  client_seq: 1,
  collection: 'tasks',
  id: 't1',
  write: { create: {} },
  time: [Date.now(), 0],
  ...parts,
});
