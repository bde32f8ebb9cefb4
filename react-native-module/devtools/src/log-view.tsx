import { memo, useLayoutEffect, useRef, useState } from 'react';

import type { LogLevel, LogLine } from '../../src/contract.ts';
import { LOG_LEVELS } from '../../src/devtools/protocol.ts';
import { clock } from './format.ts';
import type { AppState } from './model.ts';
import { type Ask, Empty, messageOf, Problem, TextInput } from './ui.tsx';

/** So many of the last lines that pass are on the page. */
const LINES_SHOWN_MAX = 500;
/** This near to its end, the list goes on to follow what is new. */
const FOLLOW_PX = 24;

let lines = 0;
const numbers = new WeakMap<LogLine, number>();

/** The same for a line wherever it stands. */
function numberOf(line: LogLine): number {
  const known = numbers.get(line);
  if (known !== undefined) return known;
  lines += 1;
  numbers.set(line, lines);
  return lines;
}

export function LogView({ state, ask }: { readonly state: AppState; readonly ask: Ask }) {
  const [level, setLevel] = useState<LogLevel>('trace');
  const [text, setText] = useState('');
  const [clearedAt, setClearedAt] = useState<LogLine | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const { log } = state.histories;
  const passing = passed(log.slice(clearedAt ? log.lastIndexOf(clearedAt) + 1 : 0), level, text);
  const shown = passing.slice(-LINES_SHOWN_MAX);
  const last = shown.at(-1);

  useLayoutEffect(() => {
    const box = list.current;
    if (box && follows.current) box.scrollTop = box.scrollHeight;
  }, [last, shown.length]);

  const record = (recorded: LogLevel) => {
    setProblem(null);
    ask({ type: 'setLogLevel', level: recorded }).catch((error: unknown) => {
      setProblem(messageOf(error));
    });
  };

  return (
    <div className="log">
      <div className="toolbar" role="search">
        <label>
          Record
          <Levels value={state.parts.logLevel} choose={record} label="Level that is recorded" />
        </label>
        <label>
          Show
          <Levels value={level} choose={setLevel} label="Level that is shown" />
        </label>
        <TextInput
          type="search"
          label="Filter the log"
          placeholder="Filter by text"
          value={text}
          onText={setText}
        />
        <span className="note" role="status">
          {passing.length} of {log.length} lines
        </span>
        <span className="spring" />
        <button
          type="button"
          onClick={() => {
            setClearedAt(log.at(-1) ?? null);
          }}
        >
          Clear
        </button>
      </div>
      <Problem text={problem ?? state.parts.logError} />
      <div
        ref={list}
        className="lines"
        role="log"
        aria-live="off"
        tabIndex={0}
        onScroll={({ currentTarget: box }) => {
          follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < FOLLOW_PX;
        }}
      >
        {shown.map((line) => (
          <Line key={numberOf(line)} line={line} />
        ))}
        {shown.length === 0 && <Empty>No line passes.</Empty>}
      </div>
    </div>
  );
}

const LEVELS: readonly LogLevel[] = LOG_LEVELS;

/** The lines of this level or a graver one that hold the text. */
function passed(log: readonly LogLine[], level: LogLevel, text: string): readonly LogLine[] {
  const wanted = text.toLowerCase();
  const most = LEVELS.indexOf(level);
  return log.filter(
    (line) =>
      LEVELS.indexOf(line.level) <= most &&
      `${line.event ?? ''} ${line.target} ${line.message}`.toLowerCase().includes(wanted),
  );
}

function Levels({
  value,
  choose,
  label,
}: {
  readonly value: LogLevel;
  readonly choose: (level: LogLevel) => void;
  readonly label: string;
}) {
  return (
    <select
      aria-label={label}
      value={value}
      onChange={(event) => {
        choose(event.target.value as LogLevel);
      }}
    >
      {LEVELS.map((level) => (
        <option key={level}>{level}</option>
      ))}
    </select>
  );
}

const Line = memo(function Line({ line }: { readonly line: LogLine }) {
  return (
    <div className={`log-line ${line.level}`}>
      <span className="time">{clock(line.atMs)}</span>
      <span className="level">{line.level}</span>
      <span className="event">{line.event ?? line.target}</span>
      <span className="message">
        {line.message}
        {line.dropped > 0 && <em> ({line.dropped} lines were dropped before)</em>}
      </span>
    </div>
  );
});
