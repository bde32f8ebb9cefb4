import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { blocksOf, modulesOf } from './blocks.ts';
import { missingScripts, otherProblems, REPOSITORY } from './others.ts';
import { TypeChecker } from './typescript.ts';

// The first one reads the types of everything.
jest.setTimeout(120_000);

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: REPOSITORY,
  encoding: 'utf8',
})
  .split('\n')
  .filter((page) => page !== '');

const checker = new TypeChecker();

function read(page: string): string {
  return readFileSync(join(REPOSITORY, page), 'utf8');
}

it.each(pages)('the code in %s is right', (page) => {
  const text = read(page);
  const blocks = blocksOf(text);
  expect([...otherProblems(blocks), ...missingScripts(text)]).toEqual([]);
  expect(checker.problems(modulesOf(blocks))).toEqual([]);
});

it('the index names every page', () => {
  const index = read('docs/README.md');
  const missing = pages
    .filter((page) => page.startsWith('docs/'))
    .map((page) => page.slice('docs/'.length))
    .filter((page) => page !== 'README.md' && !index.includes(`](${page}`));
  expect(missing).toEqual([]);
});
