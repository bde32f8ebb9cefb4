// The world of `world.ts` over the fake, in step with real time: so that tests of the real core are tests of the fake, too.
import { request } from 'node:http';

import { SyncClient } from '../../src/client.ts';
import { FakeHost, FakeServer, type HttpRequest, type HttpResponse } from '../../src/testing.ts';
import type { WorldDevices } from './devices.ts';
import type { WorldServer } from './server.ts';

const STEP_MS = 5;

/** As a server elsewhere: what is loaded is seen to load. */
const LATENCY_MS = 10;

let names = 0;

export function fakeWorld(): { readonly server: WorldServer; readonly devices: WorldDevices } {
  const fake = new FakeServer({ url: 'http://fake.test' });
  const host = new FakeHost(() => fake);
  fake.latencyMs = LATENCY_MS;
  // Whoever else is there is real.
  fake.onRequest(forward);
  let isBusy = false;
  const pump = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    void fake.advance(STEP_MS).finally(() => (isBusy = false));
  }, STEP_MS);

  const done = (work: () => void): Promise<void> => {
    work();
    return Promise.resolve();
  };
  const options: WorldDevices['options'] = async (server, user, rooms) => {
    names += 1;
    return { url: server.url, name: `device-${names}`, auth: { token: await server.token(user, rooms) } };
  };
  return {
    server: {
      url: fake.url,
      token: (user, rooms) => Promise.resolve(fake.token(user, rooms)),
      start: () =>
        done(() => {
          fake.start();
        }),
      stop: () =>
        done(() => {
          fake.stop();
        }),
      dispose: () =>
        done(() => {
          clearInterval(pump);
        }),
    },
    devices: {
      host,
      options,
      client: async (server, user, rooms, more) =>
        new SyncClient({ ...(await options(server, user, rooms)), ...more }, () => host),
      openElsewhere: () => Promise.reject(new Error('a fake is in this process only')),
      dispose: () => host.closeAll(),
    },
  };
}

/** Over a real connection: jest-expo's `fetch` is none. */
function forward({ url, method, headers, body }: HttpRequest): Promise<HttpResponse> {
  const isBytes = typeof body === 'object' && body !== null && '$bytes' in body;
  const sent = isBytes ? Buffer.from(String(body.$bytes), 'base64') : JSON.stringify(body);
  const type = isBytes ? 'application/octet-stream' : 'application/json';
  const sentHeaders = { ...(body !== null && { 'content-type': type }), ...headers };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers: sentHeaders }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const read = text === '' ? null : (JSON.parse(text) as unknown);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string>,
          body: read,
        });
      });
    });
    asked.on('error', reject);
    asked.end(body === null ? undefined : sent);
  });
}
