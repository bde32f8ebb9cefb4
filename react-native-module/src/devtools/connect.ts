import { getDevToolsPluginClientAsync } from 'expo/devtools';

import type { SyncClient } from '../client.ts';
import { PLUGIN_NAME } from './protocol.ts';
import { Session } from './session.ts';

/** Tells the panel of the client, over the dev server's channel, which all clients of the app share. */
export async function connect(client: SyncClient): Promise<Session> {
  return new Session(client, await getDevToolsPluginClientAsync(PLUGIN_NAME));
}
