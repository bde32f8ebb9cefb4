import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { Block } from './blocks.ts';
import { syntaxProblems } from './typescript.ts';

export const REPOSITORY = resolve(__dirname, '../../..');

type Check = (text: string) => string[];

/** How the code of a language is checked, beside TypeScript. */
const CHECKS: Readonly<Record<string, Check>> = {
  json: (text) => {
    try {
      JSON.parse(text);
      return [];
    } catch (error) {
      return [String(error)];
    }
  },
  js: syntaxProblems,
  sh: (text) => {
    const found = saidBy('bash', ['-n'], text);
    if (found.length > 0) return found;
    return cratesOf(text)
      .filter((name) => !crates().includes(name))
      .map((name) => `there is no crate ${name}`);
  },
  toml: (text) => saidBy('python3', ['-c', 'import sys, tomllib; tomllib.load(sys.stdin.buffer)'], text),
};

/** What a program that reads `text` says against it. */
function saidBy(program: string, options: string[], text: string): string[] {
  try {
    execFileSync(program, options, { input: text, stdio: ['pipe', 'ignore', 'pipe'] });
    return [];
  } catch (error) {
    return [String((error as { stderr?: unknown }).stderr)];
  }
}

/** Quoted from the tests of their languages, or no code of an app's. */
const UNCHECKED: readonly string[] = ['ts', 'tsx', 'kotlin', 'swift', 'xml', 'sql', 'text'];

/** What is wrong in the blocks that are no TypeScript, as `line: message`. */
export function otherProblems(blocks: readonly Block[]): string[] {
  return blocks.flatMap(({ language, line, text }) => {
    const check = CHECKS[language];
    if (check) return check(text).map((problem) => `${line}: ${problem}`);
    return UNCHECKED.includes(language) ? [] : [`${line}: no check knows the language "${language}"`];
  });
}

const COMMAND = /\.\/scripts\/(?:lib\/)?([\w-]+)(?: ([a-z][\w-]*))?/g;

/** The scripts and suites that a page names and that do not exist. */
export function missingScripts(page: string): string[] {
  return [...page.matchAll(COMMAND)].flatMap(([, script = '', argument]) => {
    if (!existsSync(join(REPOSITORY, 'scripts', script))) return [`there is no ./scripts/${script}`];
    const isSuite = script !== 'test' || argument === undefined;
    const suite = join(REPOSITORY, 'scripts/suites', `${argument ?? ''}.sh`);
    return isSuite || existsSync(suite) ? [] : [`there is no suite ${argument}`];
  });
}

function cratesOf(text: string): string[] {
  return [...text.matchAll(/cargo [^\n]*?-p ([\w-]+)/g)].map(([, name]) => name ?? '');
}

function crates(): string[] {
  const lock = readFileSync(join(REPOSITORY, 'Cargo.lock'), 'utf8');
  return [...lock.matchAll(/^name = "([^"]+)"$/gm)].map(([, name]) => name ?? '');
}
