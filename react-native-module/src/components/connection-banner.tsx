import type { ReactNode } from 'react';
import { Pressable, StyleSheet, Text } from 'react-native';

import { useCoreClient } from '../hooks/context.ts';
import { type SocketConnection, useSocketConnection } from '../hooks/use-socket-connection.ts';

export interface ConnectionBannerProps {
  /** What is said of the connection, or null to say nothing; plain English when absent. */
  readonly describe?: (connection: SocketConnection) => string | null;
  /** What a touch does; connects without delay when absent. */
  readonly onPress?: () => void;
}

/** A line across the screen while there is no connection. Renders only when what it says changes. */
export function ConnectionBanner({
  describe = describeConnection,
  onPress,
}: ConnectionBannerProps): ReactNode {
  const client = useCoreClient();
  const text = useSocketConnection(describe);
  if (text === null) return null;
  const retry = () => {
    // What hinders it is what the banner says.
    client.syncNow().catch(() => undefined);
  };
  return (
    <Pressable accessibilityRole="alert" style={styles.banner} onPress={onPress ?? retry}>
      <Text style={styles.text}>{text}</Text>
    </Pressable>
  );
}

function describeConnection({ state, reconnectAttempts }: SocketConnection): string | null {
  switch (state) {
    case 'open':
    case 'suspended':
      return null;
    case 'offline':
      return 'Offline';
    case 'unauthorized':
      return 'Signed out';
    case 'idle':
    case 'closed':
      return 'Not connected';
    case 'connecting':
    case 'backoff':
      return reconnectAttempts > 0 ? `Reconnecting... (${String(reconnectAttempts)})` : 'Connecting...';
  }
}

const styles = StyleSheet.create({
  banner: { backgroundColor: '#664d00', paddingHorizontal: 16, paddingVertical: 8 },
  text: { color: '#fff', textAlign: 'center' },
});
