// What a client asks for again, because it heard no answer, is done once: it comes with the same key.

const KEYS_MAX = 10_000;
const KEY_BYTES_MAX = 128;

/** Whether a client may give this as a key: what it makes this process remember is small. */
export function isKey(key) {
  return typeof key === 'string' && Buffer.byteLength(key) <= KEY_BYTES_MAX;
}

/** Does work once for each key of a user, and answers every repetition with the first answer. Remembers the last keys. */
export function onceByKey() {
  const answers = new Map();
  return (user, key, work) => {
    const entry = JSON.stringify([user, key]);
    if (!answers.has(entry)) {
      const answer = work();
      answers.set(entry, answer);
      answer.catch(() => answers.delete(entry));
      if (answers.size > KEYS_MAX) answers.delete(answers.keys().next().value);
    }
    return answers.get(entry);
  };
}
