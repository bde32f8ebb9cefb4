// Tokens: JWTs signed with HS256, as a backend that has users already makes them.

import { createHmac, timingSafeEqual } from 'node:crypto';

/** A connection may stay so long after its token's end: the client has asked for another one meanwhile. */
const LEEWAY_MS = 30_000;
/** Node takes a longer time for 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;
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

/** Ends a connection some time after its token: without it, who connected once would stay for ever. */
export function endWithToken(socket, { exp }) {
  const endsAt = exp * 1000 + LEEWAY_MS;
  let timer;
  const look = () => {
    const leftMs = endsAt - Date.now();
    if (leftMs <= 0) socket.disconnect(true);
    else timer = setTimeout(look, Math.min(leftMs, TIMER_MS_MAX)).unref();
  };
  socket.once('disconnect', () => clearTimeout(timer));
  look();
}
