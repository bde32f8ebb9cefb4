/** A piece of code in a page. */
export interface Block {
  /** What the fence names first, such as `tsx`. */
  readonly language: string;
  /** Of its first line of code, in the page. */
  readonly line: number;
  readonly text: string;
}

/** A file of TypeScript that a page tells, in one block or in several. */
export interface PageModule {
  readonly name: string;
  readonly text: string;
  /** The line in the page of each of its lines. */
  readonly lines: readonly number[];
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*(\S*)/;
/** As first line: the block is this file, and the others of the page can import it. */
const NAMED = /^\/\/ ([\w.-]+\.tsx?)$/;
/** As first line: the block goes on where the one before it ended. */
const CONTINUED = '// …';

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; line: number; lines: string[] } | null = null;
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, fence = '', language = ''] = FENCE.exec(line) ?? [];
    if (!open) {
      if (fence) open = { fence, language, line: index + 2, lines: [] };
    } else if (fence.startsWith(open.fence) && language === '') {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join('\n') });
      open = null;
    } else open.lines.push(line);
  }
  if (open) throw new Error(`the block of line ${open.line - 1} does not end`);
  return blocks;
}

/** The TypeScript of a page as files that can import each other. */
export function modulesOf(blocks: readonly Block[]): PageModule[] {
  const modules: { name: string; texts: string[]; lines: number[] }[] = [];
  for (const { language, line, text } of blocks) {
    if (language !== 'ts' && language !== 'tsx') continue;
    const lines = text.split('\n');
    const numbers = lines.map((_, index) => line + index);
    const name = NAMED.exec(lines[0] ?? '')?.[1];
    const last = modules.at(-1);
    if (lines[0] === CONTINUED && last) {
      last.texts.push(text);
      last.lines.push(...numbers);
    } else modules.push({ name: name ?? `line-${line}.${language}`, texts: [text], lines: numbers });
  }
  return modules.map(({ name, texts, lines }) => ({ name, text: texts.join('\n'), lines }));
}
