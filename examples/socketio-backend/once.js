// What a client asks for again, because it heard no answer, is done once: it comes with the same key.

const KEYS_MAX = 10_000;

/** Does work once for each key, and answers every repetition with the first answer. Remembers the last keys. */
export function onceByKey() {
  const answers = new Map();
  return (key, work) => {
    if (!answers.has(key)) {
      const answer = work();
      answers.set(key, answer);
      answer.catch(() => answers.delete(key));
      if (answers.size > KEYS_MAX) answers.delete(answers.keys().next().value);
    }
    return answers.get(key);
  };
}
