// For app developers' tests: the core and its server in memory, in virtual time, without a native module.
export type { HttpRequest, HttpResponse } from './testing/backend.ts';
export { Failure } from './testing/errors.ts';
export { createFakeClient, type FakeClient, type FakeClientOptions } from './testing/fake.ts';
export { FakeHost } from './testing/host.ts';
export { fakeDevice, fakeServer } from './testing/native-module.ts';
export {
  Answer,
  type Audience,
  type EventHandler,
  FakeServer,
  type FakeServerOptions,
  type Person,
  type PushedWrite,
  type RequestHandler,
  type ServerCall,
} from './testing/server.ts';
