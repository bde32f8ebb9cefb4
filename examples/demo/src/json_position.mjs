// Where a text stops being JSON. The parser of JavaScript tells what is wrong, and mostly not where.

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/** The offset of the first token that does not fit, or the end of the text. */
export function invalidAt(text) {
  const open = [];
  let expected = ['value'];
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    const kind = match && kindOf(match, expected);
    if (!kind || !expected.includes(kind)) {
      return at + /^[ \t\r\n]*/.exec(text.slice(at))[0].length;
    }
    at = TOKEN.lastIndex;
    expected = after(kind, match[1], open);
  }
}

/** What a token is in a place where some kinds are expected. */
function kindOf([, mark, scalar], expected) {
  if (mark === undefined) {
    return expected.includes('key') && scalar.startsWith('"') ? 'key' : 'value';
  }
  return mark === '{' || mark === '[' ? 'value' : mark;
}

/** What may follow a token; keeps the list of open brackets. */
function after(kind, mark, open) {
  switch (kind) {
    case 'key':
      return [':'];
    case ':':
      return ['value'];
    case ',':
      return [open.at(-1) === '{' ? 'key' : 'value'];
    case 'value':
      if (mark !== undefined) {
        open.push(mark);
        return mark === '{' ? ['key', '}'] : ['value', ']'];
      }
      break;
    default:
      open.pop();
  }
  return open.length === 0 ? [] : [',', open.at(-1) === '{' ? '}' : ']'];
}
