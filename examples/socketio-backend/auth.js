// Tokens: JWTs signed with HS256, as a backend that has users already makes them.

import { createHmac, timingSafeEqual } from 'node:crypto';

const HEADER = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'JWT' })).toString('base64url');

function signature(text, secret) {
  return createHmac('sha256', secret).update(text).digest();
}

/** A token for a user: `claims` are `sub`, `exp` in seconds, and `rooms`, the rooms beside `user:<sub>`. */
export function sign(claims, secret) {
  const text = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${text}.${signature(text, secret).toString('base64url')}`;
}

/** The claims of a token; throws when it does not hold. */
export function verify(token, secret) {
  const [header, payload, signed, ...more] = String(token).split('.');
  if (header !== HEADER || payload === undefined || signed === undefined || more.length > 0) {
    throw new Error('the token is malformed');
  }
  const expected = signature(`${header}.${payload}`, secret);
  const given = Buffer.from(signed, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new Error('the signature does not match');
  }
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  if (!(claims.exp * 1000 > Date.now())) throw new Error('the token has expired');
  return claims;
}
