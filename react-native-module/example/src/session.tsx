import { type Host, SynclineProvider, type SyncOptions } from 'expo-syncline';
import { createContext, type ReactNode, useContext, useMemo } from 'react';

// Written so, Expo puts the value in its place.
const BACKEND_URL = (process.env.EXPO_PUBLIC_BACKEND_URL as string | undefined) ?? 'http://localhost:3000';

/** How often Android and iOS may wake the app to sync, at the most. */
const BACKGROUND_MS = 15 * 60_000;

const UserContext = createContext<string>('');

/** The name of who is signed in. */
export function useUser(): string {
  return useContext(UserContext);
}

interface SessionProps {
  readonly user: string;
  readonly url?: string;
  /** Where the core runs: in the app's native module, or in a test's process. */
  readonly host?: Host;
  readonly children: ReactNode;
}

/** The client of one user. Another user is another client, with files of its own. */
export function Session({ user, url = BACKEND_URL, host, children }: SessionProps) {
  const options = useMemo<SyncOptions>(
    () => ({
      url,
      name: `user-${user}`,
      parser: 'json',
      auth: { getToken: () => signIn(url, user) },
      collections: { notes: { conflict: 'manual' }, activities: { indexes: [{ fields: ['at'] }] } },
      background: { everyMs: BACKGROUND_MS },
    }),
    [user, url],
  );
  return (
    <UserContext value={user}>
      <SynclineProvider options={options} {...(host ? { host } : {})}>
        {children}
      </SynclineProvider>
    </UserContext>
  );
}

async function signIn(url: string, name: string): Promise<string> {
  const response = await fetch(`${url}/api/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  if (!response.ok) throw new Error(`signing in failed with ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}
