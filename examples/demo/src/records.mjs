// Reads documents out of a file: a JSON array or NDJSON, in pieces, so that a mistake is told with its line.

import { createReadStream } from 'node:fs';
import { basename, extname } from 'node:path';

import { UsageError } from './arguments.mjs';
import { invalidAt } from './json_position.mjs';

/** Both devices and the comparison hold all documents in memory. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const RECORDS_MAX = 50_000;
/** What a client takes as one document. */
const RECORD_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 64;
const COLLECTION_BYTES_MAX = 64;

const [TAB, NEWLINE, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, COMMA, OPEN_ARRAY, BACKSLASH, CLOSE_ARRAY] = [0x22, 0x2c, 0x5b, 0x5c, 0x5d];
const [OPEN_OBJECT, CLOSE_OBJECT] = [0x7b, 0x7d];
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** A record that cannot become a document. */
class RecordError extends Error {
  constructor(line, reason) {
    super(reason);
    this.line = line;
  }
}

/**
 * The documents of a file, in its order.
 * @returns {Promise<{ line: number, fields: object }[]>}
 * @throws {UsageError} "FILE:LINE: reason", or "FILE: reason" when no line is to blame
 */
export async function readRecords(file) {
  const records = [];
  try {
    for await (const { line, bytes } of split(createReadStream(file))) {
      if (records.length === RECORDS_MAX) {
        throw new RecordError(line, `more than ${RECORDS_MAX} documents; take a part of the file`);
      }
      records.push({ line, fields: parse(bytes, line) });
    }
  } catch (error) {
    if (error instanceof RecordError) {
      throw new UsageError(`${file}:${error.line}: ${error.message}`);
    }
    if (error.code !== undefined) {
      throw new UsageError(`${file}: ${reasonOf(error)}`);
    }
    throw error;
  }
  return records;
}

/** The collection that a file's documents go to: its name without folder and extension. */
export function collectionOf(file) {
  const name = basename(file, extname(file)).replace(/\p{Cc}/gu, '-');
  let collection = '';
  for (const char of name.toWellFormed()) {
    if (Buffer.byteLength(collection + char) > COLLECTION_BYTES_MAX) {
      break;
    }
    collection += char;
  }
  return collection || 'documents';
}

function reasonOf(error) {
  const reasons = {
    ENOENT: 'no such file',
    EISDIR: 'is a folder',
    EACCES: 'may not be read',
  };
  return reasons[error.code] ?? error.message;
}

/** Splits a stream into the bytes of its records, each with the line it begins on. */
async function* split(stream) {
  let splitter;
  let begin = Buffer.alloc(0);
  let read = 0;
  for await (const chunk of stream) {
    read += chunk.length;
    if (read > FILE_BYTES_MAX) {
      throw new RecordError(
        splitter?.line ?? 1,
        `the file is over ${FILE_BYTES_MAX} bytes; take a part of it`,
      );
    }
    if (splitter !== undefined) {
      yield* splitter.push(chunk);
      continue;
    }
    begin = Buffer.concat([begin, chunk]);
    splitter = chooseSplitter(begin);
    if (splitter !== undefined) {
      yield* splitter.push(withoutMark(begin));
    }
  }
  if (splitter !== undefined) {
    yield* splitter.end();
  }
}

/** By the first byte that is not white space; undefined while there is none. */
function chooseSplitter(begin) {
  for (const byte of withoutMark(begin)) {
    if (!isSpace(byte)) {
      return byte === OPEN_ARRAY ? new ArraySplitter() : new LineSplitter();
    }
  }
  return undefined;
}

function withoutMark(bytes) {
  return bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? bytes.subarray(3) : bytes;
}

function isSpace(byte) {
  return byte === SPACE || byte === NEWLINE || byte === RETURN || byte === TAB;
}

/** The bytes of a record that may lie in several chunks. */
class Pieces {
  #pieces = [];
  #length = 0;

  constructor(line) {
    this.line = line;
  }

  add(piece) {
    this.#length += piece.length;
    if (this.#length > RECORD_BYTES_MAX) {
      throw new RecordError(this.line, `a document of over ${RECORD_BYTES_MAX} bytes`);
    }
    this.#pieces.push(piece);
  }

  take() {
    return { line: this.line, bytes: Buffer.concat(this.#pieces) };
  }
}

/** One record per line; empty lines are none. */
class LineSplitter {
  line = 1;
  #pieces = new Pieces(1);

  *push(chunk) {
    let begin = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, begin)) !== -1; begin = end + 1) {
      this.#pieces.add(chunk.subarray(begin, end));
      yield* this.#take();
      this.line += 1;
      this.#pieces = new Pieces(this.line);
    }
    this.#pieces.add(chunk.subarray(begin));
  }

  *end() {
    yield* this.#take();
  }

  *#take() {
    const record = this.#pieces.take();
    if (!record.bytes.every(isSpace)) {
      yield record;
    }
  }
}

/** The elements of one array. Finds where they end; whether they are JSON is for the parser to say. */
class ArraySplitter {
  line = 1;
  /** What may stand here: "open", "first", "element", "within", "comma" or "nothing". */
  #expected = 'open';
  #pieces;
  /** Open brackets, and whether inside a string, and after a backslash in one. */
  #depth = 0;
  #quoted = false;
  #escaped = false;

  *push(chunk) {
    let begin = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#expected !== 'within') {
        if (!this.#between(byte)) {
          continue;
        }
        begin = at;
      }
      const ends = this.#within(byte);
      if (ends !== 'no') {
        this.#pieces.add(chunk.subarray(begin, ends === 'after' ? at + 1 : at));
        yield this.#pieces.take();
        this.#expected = 'comma';
        if (ends === 'before') {
          this.#between(byte);
        }
      } else if (byte === NEWLINE) {
        this.line += 1;
      }
    }
    if (this.#expected === 'within') {
      this.#pieces.add(chunk.subarray(begin));
    }
  }

  *end() {
    if (this.#expected === 'within') {
      throw new RecordError(this.#pieces.line, 'the document that begins here does not end');
    }
    if (this.#expected !== 'nothing') {
      throw new RecordError(this.line, 'the file ends within the array');
    }
  }

  /** A byte between elements. Whether an element begins with it. */
  #between(byte) {
    if (isSpace(byte)) {
      this.line += byte === NEWLINE ? 1 : 0;
      return false;
    }
    switch (this.#expected) {
      case 'open':
        this.#expected = 'first';
        return false;
      case 'comma':
        if (byte !== COMMA && byte !== CLOSE_ARRAY) {
          throw new RecordError(this.line, 'a comma is missing between two documents');
        }
        this.#expected = byte === COMMA ? 'element' : 'nothing';
        return false;
      case 'nothing':
        throw new RecordError(this.line, 'something follows the array');
      default:
        if (byte === CLOSE_ARRAY && this.#expected === 'first') {
          this.#expected = 'nothing';
          return false;
        }
        if (byte === COMMA || byte === CLOSE_ARRAY) {
          throw new RecordError(this.line, 'a document is missing beside a comma');
        }
        this.#expected = 'within';
        this.#pieces = new Pieces(this.line);
        return true;
    }
  }

  /** A byte of an element. Whether the element ends after it, before it, or not yet. */
  #within(byte) {
    if (this.#quoted) {
      if (this.#escaped) {
        this.#escaped = false;
      } else if (byte === BACKSLASH) {
        this.#escaped = true;
      } else if (byte === QUOTE) {
        this.#quoted = false;
        return this.#depth === 0 ? 'after' : 'no';
      }
      return 'no';
    }
    switch (byte) {
      case QUOTE:
        this.#quoted = true;
        return 'no';
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        this.#depth += 1;
        return 'no';
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        if (this.#depth === 0) {
          return 'before';
        }
        this.#depth -= 1;
        return this.#depth === 0 ? 'after' : 'no';
      default:
        return this.#depth === 0 && (byte === COMMA || isSpace(byte)) ? 'before' : 'no';
    }
  }
}

function parse(bytes, line) {
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RecordError(line, 'not UTF-8');
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const linesBefore = text.slice(0, invalidAt(text)).split('\n').length - 1;
    throw new RecordError(line + linesBefore, `not JSON: ${error.message.replace(/\s+/g, ' ')}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RecordError(line, `${describe(value)} is not a document: an object is needed`);
  }
  const reason = reasonToRefuse(value, 1);
  if (reason !== undefined) {
    throw new RecordError(line, reason);
  }
  return value;
}

function describe(value) {
  if (Array.isArray(value)) {
    return 'an array';
  }
  const kinds = { string: 'a string', number: 'a number', boolean: 'a boolean', object: 'null' };
  return kinds[typeof value];
}

/** Why JSON that JavaScript reads would not arrive as it is. */
function reasonToRefuse(value, depth) {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? undefined : 'a number is out of range';
  }
  if (typeof value === 'string') {
    return value.isWellFormed() ? undefined : 'a string holds half of a surrogate pair';
  }
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  if (depth > DEPTH_MAX) {
    return `nested deeper than ${DEPTH_MAX} levels`;
  }
  for (const [name, inner] of Object.entries(value)) {
    const reason = reasonToRefuse(name, depth) ?? reasonToRefuse(inner, depth + 1);
    if (reason !== undefined) {
      return reason;
    }
  }
  return undefined;
}
