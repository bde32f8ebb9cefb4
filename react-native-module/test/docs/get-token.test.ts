// Where the pages fetch a token: a server that fails has signed nobody out.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { blocksOf, modulesOf } from './blocks.ts';
import { REPOSITORY } from './others.ts';
import { exported } from './run.ts';

const pages = execFileSync('git', ['grep', '-l', 'export async function getToken', '--', '*.md'], {
  cwd: REPOSITORY,
  encoding: 'utf8',
})
  .trim()
  .split('\n');

const fetched = globalThis.fetch;

afterEach(() => {
  globalThis.fetch = fetched;
});

/** What the page's function makes of this answer. */
function tokenOf(page: string, status: number, token: string): Promise<string | null> {
  const text = readFileSync(join(REPOSITORY, page), 'utf8');
  const getToken = exported(modulesOf(blocksOf(text)), 'getToken') as () => Promise<string | null>;
  const answer = {
    ok: status === 200,
    status,
    text: () => Promise.resolve(`${token}\n`),
    json: () => Promise.resolve({ token }),
  };
  globalThis.fetch = () => Promise.resolve(answer as unknown as Response);
  return getToken();
}

it.each(pages)('%s tells who is signed out from a server that fails', async (page) => {
  expect(await tokenOf(page, 200, 'a.b.c')).toBe('a.b.c');
  expect(await tokenOf(page, 401, '')).toBeNull();
  await expect(tokenOf(page, 503, '')).rejects.toThrow('503');
});
