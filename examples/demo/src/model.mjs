// What the documents must be in the end, worked out from the writes alone.
//
// Writes are applied here in the order of their stamps. The demo makes them one after the other on one machine, so
// that is the order in which it made them, whenever the server saw them.

/** A document's key in a model or a listing. */
export function keyOf(collection, id) {
  return JSON.stringify([collection, id]);
}

/** The spelling of a field's name in a patch: a dot would lead into the field. */
export function pathOf(name) {
  return name.replace(/[\\.]/g, '\\$&');
}

function nameOf(path) {
  return path.replace(/\\(.)/g, '$1');
}

export class Model {
  /** Key -> { fields, deleted }. A deleted document keeps its fields: a newer update brings it back. */
  #documents = new Map();

  clone() {
    const copy = new Model();
    for (const [key, { fields, deleted }] of this.#documents) {
      copy.#documents.set(key, { fields: structuredClone(fields), deleted });
    }
    return copy;
  }

  /** Takes in a write as the façade does: `{ collection, id, write }`, of whole fields only. */
  apply({ collection, id, write }) {
    const key = keyOf(collection, id);
    if (write === 'delete') {
      this.#documents.get(key).deleted = true;
    } else if (write.create !== undefined) {
      this.#documents.set(key, { fields: structuredClone(write.create), deleted: false });
    } else {
      const document = this.#documents.get(key);
      document.deleted = false;
      for (const [path, operation] of Object.entries(write.update)) {
        applyOperation(document.fields, nameOf(path), operation);
      }
    }
  }

  /** The documents that must be there, by key. */
  documents() {
    const live = new Map();
    for (const [key, { fields, deleted }] of this.#documents) {
      if (!deleted) {
        live.set(key, fields);
      }
    }
    return live;
  }
}

function applyOperation(fields, name, operation) {
  if (operation.set !== undefined) {
    // Not an assignment: a field may be called `__proto__`.
    Object.defineProperty(fields, name, {
      value: operation.set,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  } else if (operation.increment !== undefined) {
    fields[name] += operation.increment;
  } else {
    throw new Error(`the model does not know ${JSON.stringify(operation)}`);
  }
}
