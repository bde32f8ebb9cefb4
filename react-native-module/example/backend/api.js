// The HTTP API: signing in, and liking an activity. What a request changes reaches every device by sync.

import { randomUUID } from 'node:crypto';

import { sign, verify } from '../../../examples/socketio-backend/auth.js';
import { isKey, onceByKey } from '../../../examples/socketio-backend/once.js';

const TOKEN_S = 3600;
const BODY_BYTES_MAX = 64 << 10;
const NAME_PATTERN = /^[A-Za-z0-9-]{1,32}$/;
const SUBJECT_PATTERN = /^[\w-]{1,64}$/;

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** Answers the API's requests; Socket.IO answers its own. */
export function addApi(http, { secret, sync }) {
  const once = onceByKey();

  function like(id, request) {
    const user = userOf(request, secret);
    if (!SUBJECT_PATTERN.test(id)) throw notFound();
    const write = { collection: 'activities', id, write: { update: { likes: { increment: 1 } } } };
    // An app that hears no answer asks again, with the same key: it counts once.
    const key = request.headers['idempotency-key'] ?? randomUUID();
    if (!isKey(key)) throw new Refused(422, 'invalid', 'the key is no short text');
    return once(user, key, async () => {
      try {
        await sync.write('feed', [write]);
        return { ok: true };
      } catch (error) {
        throw error.code === 'not_found' ? notFound() : error;
      }
    });
  }

  // The example's only proof of who somebody is: their word.
  function signIn({ name }) {
    if (typeof name !== 'string' || !NAME_PATTERN.test(name)) {
      throw new Refused(422, 'invalid', 'a name has 1 to 32 letters, digits and dashes');
    }
    return { token: sign({ sub: name, exp: Math.floor(Date.now() / 1000) + TOKEN_S }, secret) };
  }

  async function answer(request) {
    const { method, url } = request;
    const liked = /^\/api\/activities\/([^/]+)\/likes$/.exec(url);
    if (method === 'POST' && url === '/api/sign-in') return signIn(await bodyOf(request));
    if (method === 'POST' && liked) return like(liked[1], request);
    throw new Refused(404, 'not_found', `${method} ${url} is not known here`);
  }

  http.on('request', async (request, response) => {
    if (!request.url.startsWith('/api/')) return;
    try {
      respond(response, 200, await answer(request));
    } catch (error) {
      if (!(error instanceof Refused)) console.error(request.url, error);
      const { status = 503, code = 'unavailable', message } = error instanceof Refused ? error : {};
      respond(response, status, { error: { code, message: message ?? 'try again' } });
    }
  });
}

const notFound = () => new Refused(404, 'not_found', 'there is no such activity');

function userOf(request, secret) {
  try {
    return verify((request.headers.authorization ?? '').replace(/^Bearer /, ''), secret).sub;
  } catch (error) {
    throw new Refused(401, 'unauthorized', error.message);
  }
}

async function bodyOf(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) throw new Refused(413, 'too_large', 'the body is too large');
  }
  try {
    return JSON.parse(text) ?? {};
  } catch {
    throw new Refused(400, 'invalid', 'the body is no JSON');
  }
}

function respond(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
