// Bytes: `{"$bytes": base64}` in a transcript, beside the text where they cross. See tests/contract/README.md.

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value of the only member of an object, if it is this one. */
const only = (value, key) => (Object.keys(value).length === 1 ? value[key] : undefined);

/** `value` with each object that `replace` has something for replaced by that; one within `$object` stays one. */
function mapObjects(value, replace) {
  const members = (object) =>
    Object.fromEntries(Object.entries(object).map(([key, member]) => [key, mapObjects(member, replace)]));
  if (Array.isArray(value)) return value.map((item) => mapObjects(item, replace));
  if (!isObject(value)) return value;
  const plain = only(value, '$object');
  return replace(value) ?? (isObject(plain) ? { $object: members(plain) } : members(value));
}

/** What a host hands over for JSON of a transcript. */
export function detached(json) {
  const attachments = [];
  const detach = (bytes) => attachments.push(new Uint8Array(Buffer.from(bytes, 'base64'))) - 1;
  const text = mapObjects(json, (object) => {
    const bytes = only(object, '$bytes');
    return typeof bytes === 'string' ? { $attachment: detach(bytes) } : undefined;
  });
  return { text: JSON.stringify(text), attachments };
}

/** The JSON of a transcript for what the façade handed over. */
export function attached({ text, attachments }) {
  return mapObjects(JSON.parse(text), (object) => {
    const index = only(object, '$attachment');
    return typeof index === 'number'
      ? { $bytes: Buffer.from(attachments[index]).toString('base64') }
      : undefined;
  });
}
