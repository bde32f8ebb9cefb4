import { type ReactNode, useEffect, useInsertionEffect, useLayoutEffect, useMemo, useState } from 'react';

import type { CoreClient } from '../core-client.ts';
import type { Host } from '../host.ts';
import { nativeHost } from '../native.ts';
import { checkOptions, type SyncOptions } from '../options.ts';
import { type ClientClass, type Lease, lease } from '../registry.ts';
import { type QueryInvalidator, QueryInvalidatorContext, SynclineContext } from './context.ts';

interface CommonProps {
  /** Whose queries `useSocketEvent` invalidates: TanStack's `QueryClient`. */
  readonly queryClient?: QueryInvalidator;
  readonly children?: ReactNode;
}

export type ClientProviderProps<Client extends CoreClient> = CommonProps &
  (
    | { readonly client: Client; readonly options?: never; readonly host?: never }
    | {
        readonly options: SyncOptions;
        readonly client?: never;
        /** Where the core runs: by default in the app's native module. */
        readonly host?: Host;
      }
  );

/** Gives the hooks below it the given client, or one of this class made from options. */
export function ClientProvider<Client extends CoreClient>(
  props: ClientProviderProps<Client> & { readonly of: ClientClass<Client> },
): ReactNode {
  const { of, queryClient = null, children } = props;
  const below = <QueryInvalidatorContext value={queryClient}>{children}</QueryInvalidatorContext>;
  if (!props.options) return <SynclineContext value={props.client}>{below}</SynclineContext>;
  return (
    <NamedClient of={of} options={props.options} host={props.host}>
      {below}
    </NamedClient>
  );
}

interface NamedClientProps {
  readonly of: ClientClass<CoreClient>;
  readonly options: SyncOptions;
  readonly host: Host | undefined;
  readonly children: ReactNode;
}

function NamedClient({ of, options, host, children }: NamedClientProps): ReactNode {
  const { name, auth, config } = checkOptions(options);
  const fingerprint = JSON.stringify(config);
  const [getHost] = useState(() => () => host ?? nativeHost());
  const held = lease(of, name, options, fingerprint, getHost);

  // After every render: a new token, or a new closure that fetches one, is no reason for a new client. Before it is
  // held: a client that was closed opens with the token of these options.
  useLayoutEffect(() => {
    held.client.setAuth(auth);
  });

  useHold(held);

  return <SynclineContext value={held.client}>{children}</SynclineContext>;
}

/** Holds a client from the mounting of the component to its end, also while a Suspense boundary above shows its fallback. */
function useHold(held: Lease<CoreClient>): void {
  const hold = useMemo(() => held.newHold(), [held]);
  // Ends before the effects of what comes in its place; hiding undoes an effect of layout, and not this one.
  useInsertionEffect(() => hold.end, [hold]);
  // Before the effects of the hooks below, which use the client: one that was closed must be open to them.
  useLayoutEffect(() => {
    hold.begin();
  }, [hold]);
  // React may leave the first effect alone when it takes away what is hidden; StrictMode and Activity undo this one only.
  useEffect(() => {
    hold.begin();
    return hold.end;
  }, [hold]);
}
