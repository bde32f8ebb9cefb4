import { type ComponentProps, type ReactNode, useEffect, useId, useRef, useState } from 'react';

import type { Listed, PanelCommand, Shown } from '../../src/devtools/protocol.ts';

/** Asks the selected client for something. */
export type Ask = (command: PanelCommand) => Promise<void>;

export type Tone = 'good' | 'busy' | 'bad' | 'calm' | 'accent';

export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

export function Section({
  title,
  note,
  actions,
  children,
}: {
  readonly title: string;
  readonly note?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  const id = useId();
  return (
    <section className="section" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note !== undefined && <span className="note">{note}</span>}
        <span className="spring" />
        {actions}
      </header>
      {children}
    </section>
  );
}

export function Empty({ children }: { readonly children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** Says how many of a list are not shown. */
export function Rest({ of }: { readonly of: Listed<unknown> }) {
  const rest = of.total - of.items.length;
  return rest > 0 ? <p className="rest">and {rest} more, not shown</p> : null;
}

/** Why something is not as it should be, if it is not: an alert, or the lasting state of what is shown. */
export function Problem({
  role = 'alert',
  text,
}: {
  readonly role?: 'alert' | 'status';
  readonly text: string | null;
}) {
  if (text === null) return null;
  return (
    <p role={role} className="problem">
      {text}
    </p>
  );
}

export function Table({
  columns,
  children,
}: {
  readonly columns: readonly string[];
  readonly children: ReactNode;
}) {
  return (
    <table>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column} scope="col">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

/** JSON that is unfolded when it is wanted. */
export function Folded({ summary, value }: { readonly summary: ReactNode; readonly value: Shown }) {
  return (
    <details>
      <summary>{summary}</summary>
      <Json value={value} />
    </details>
  );
}

/** A field for one line of text, which `label` names to those who do not see it. */
export function TextInput({
  label,
  onText,
  ...input
}: Omit<ComponentProps<'input'>, 'onChange'> & {
  readonly label: string;
  readonly onText: (text: string) => void;
}) {
  return (
    <input
      aria-label={label}
      onChange={(event) => {
        onText(event.target.value);
      }}
      {...input}
    />
  );
}

/** A button that waits for what it does, and says below itself why that failed. */
export function Action({
  run,
  tone,
  label,
  disabled = false,
  children,
}: {
  readonly run: () => Promise<void>;
  readonly tone?: 'danger' | 'primary';
  /** What it does, and to what: for those who cannot see where it stands. */
  readonly label?: string;
  readonly disabled?: boolean;
  readonly children: ReactNode;
}) {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const act = () => {
    setBusy(true);
    setProblem(null);
    run()
      .catch((error: unknown) => {
        setProblem(messageOf(error));
      })
      .finally(() => {
        setBusy(false);
      });
  };
  return (
    <>
      <button
        type="button"
        className={tone}
        aria-label={label}
        aria-busy={isBusy}
        disabled={disabled || isBusy}
        onClick={act}
      >
        {children}
      </button>
      {problem !== null && (
        <span role="alert" className="problem">
          {problem}
        </span>
      )}
    </>
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function Json({ value }: { readonly value: Shown }) {
  return (
    <pre className="json">
      {value.text}
      {value.isCut && <em>{'\n'}… cut off: it is longer than what is shown</em>}
    </pre>
  );
}

/** Edits JSON in a dialog. Closes when `save` is done; stays and says why when it fails. */
export function JsonDialog({
  title,
  text,
  saveLabel,
  save,
  close,
}: {
  readonly title: string;
  readonly text: string;
  readonly saveLabel: string;
  readonly save: (text: string) => Promise<void>;
  readonly close: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [draft, setDraft] = useState(text);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const problem = jsonProblem(draft);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={close}>
      <h2 id={id}>{title}</h2>
      <textarea
        aria-label="JSON"
        aria-invalid={problem !== null}
        spellCheck={false}
        value={draft}
        onChange={(event) => {
          setDraft(event.target.value);
        }}
      />
      <p className="problem" role="status">
        {problem}
      </p>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <Action tone="primary" disabled={problem !== null} run={() => save(draft).then(close)}>
          {saveLabel}
        </Action>
      </footer>
    </dialog>
  );
}

function jsonProblem(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

export function Tile({
  label,
  value,
  hint,
}: {
  readonly label: string;
  readonly value: ReactNode;
  readonly hint?: string;
}) {
  return (
    <div className="tile" title={hint}>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}
