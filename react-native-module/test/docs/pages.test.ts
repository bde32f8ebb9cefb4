import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { blocksOf, modulesOf } from './blocks.ts';
import { missingScripts, otherProblems, REPOSITORY } from './others.ts';
import { TypeChecker } from './typescript.ts';

const DOCS = join(REPOSITORY, 'docs');

const pages = readdirSync(DOCS, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.md'))
  .map((file) => join('docs', file));

const checker = new TypeChecker();

function read(page: string): string {
  return readFileSync(join(REPOSITORY, page), 'utf8');
}

it.each(['README.md', 'examples/socketio-backend/README.md', ...pages])('the code in %s is right', (page) => {
  const text = read(page);
  const blocks = blocksOf(text);
  expect([...otherProblems(blocks), ...missingScripts(text)]).toEqual([]);
  expect(checker.problems(modulesOf(blocks))).toEqual([]);
});

it('the index names every page', () => {
  const index = read('docs/README.md');
  const missing = pages
    .map((page) => page.slice('docs/'.length))
    .filter((page) => page !== 'README.md' && !index.includes(`](${page}`));
  expect(missing).toEqual([]);
});
