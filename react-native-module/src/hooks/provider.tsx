import { type ReactNode, useLayoutEffect, useState } from 'react';

import type { SyncClient } from '../client.ts';
import type { Host } from '../host.ts';
import { nativeHost } from '../native.ts';
import { checkOptions, type SyncOptions } from '../options.ts';
import { lease } from '../registry.ts';
import { type QueryInvalidator, QueryInvalidatorContext, SynclineContext } from './context.ts';

interface CommonProps {
  /** Whose queries `useSocketEvent` invalidates: TanStack's `QueryClient`. */
  readonly queryClient?: QueryInvalidator;
  readonly children?: ReactNode;
}

export type SynclineProviderProps = CommonProps &
  (
    | { readonly client: SyncClient; readonly options?: never; readonly host?: never }
    | {
        readonly options: SyncOptions;
        readonly client?: never;
        /** Where the core runs: by default in the app's native module. */
        readonly host?: Host;
      }
  );

/**
 * Gives the hooks below it a client: the given one, or one made from options. A client made here is kept by name, so
 * that it survives Fast Refresh, and is closed after its last provider.
 */
export function SynclineProvider(props: SynclineProviderProps): ReactNode {
  const { queryClient = null, children } = props;
  const below = <QueryInvalidatorContext value={queryClient}>{children}</QueryInvalidatorContext>;
  if (props.client) return <SynclineContext value={props.client}>{below}</SynclineContext>;
  return (
    <NamedClient options={props.options} host={props.host}>
      {below}
    </NamedClient>
  );
}

interface NamedClientProps {
  readonly options: SyncOptions;
  readonly host: Host | undefined;
  readonly children: ReactNode;
}

function NamedClient({ options, host, children }: NamedClientProps): ReactNode {
  const { name, auth, config } = checkOptions(options);
  const fingerprint = JSON.stringify(config);
  const [getHost] = useState(() => () => host ?? nativeHost());
  const held = lease(name, options, fingerprint, getHost);

  // After every render: a new token, or a new closure that fetches one, is no reason for a new client. Before it is
  // held: a client that was closed opens with the token of these options.
  useLayoutEffect(() => {
    held.client.setAuth(auth);
  });

  // Before the effects of the hooks below, which use the client: one that was closed must be open to them.
  useLayoutEffect(() => {
    held.hold();
    return () => {
      held.release();
    };
  }, [held]);

  return <SynclineContext value={held.client}>{children}</SynclineContext>;
}
