import { blocksOf, modulesOf } from './blocks.ts';
import { missingScripts, otherProblems } from './others.ts';
import { TypeChecker } from './typescript.ts';

const checker = new TypeChecker();

/** A page with these blocks, each from the fourth line of its own on. */
function page(...blocks: [language: string, ...lines: string[]][]): string {
  return blocks
    .map(([language, ...lines]) => ['# A page', '', `\`\`\`${language}`, ...lines, '```'].join('\n'))
    .join('\n');
}

function problems(text: string): string[] {
  const blocks = blocksOf(text);
  return [...checker.problems(modulesOf(blocks)), ...otherProblems(blocks), ...missingScripts(text)];
}

it('finds a mistake of types, and its line in the page', () => {
  const found = problems(
    page(['ts', "import { createSyncClient } from 'expo-syncline';", '', 'createSyncClient({ uri: 1 });']),
  );
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^6: .*'uri' does not exist/s);
});

it('finds what a package does not export, for its entries too', () => {
  const found = problems(page(['tsx', "import { useEverything } from 'expo-syncline/components';"]));
  expect(found).toEqual([expect.stringMatching(/^4: .*no exported member 'useEverything'/)]);
});

it('keeps blocks apart, but for those that go on and those that are imported', () => {
  const first = ['ts', '// answer.ts', 'export const answer = 42;'] as [string, ...string[]];
  expect(problems(page(first, ['ts', 'export const next = answer + 1;']))).toHaveLength(1);
  expect(problems(page(first, ['ts', '// …', 'export const next = answer + 1;']))).toEqual([]);
  expect(
    problems(page(first, ['ts', "import { answer } from './answer';", 'export const next = answer + 1;'])),
  ).toEqual([]);
});

// The first one reads the types of everything.
jest.setTimeout(120_000);

it('tells the line of a mistake in a block that goes on', () => {
  const found = problems(page(['ts', 'const answer = 42;'], ['ts', '// …', 'answer.length;']));
  expect(found).toEqual([expect.stringMatching(/^10: Property 'length'/)]);
});

it.each([
  ['json', '{ "a": }', /^4: SyntaxError/],
  ['js', 'f(;', /^4: /],
  ['sh', 'if true; fi', /^4: .*syntax error/],
  ['sh', 'cargo run -p syncline-nothing', /^4: there is no crate syncline-nothing/],
  ['toml', 'a = [', /^4: .*TOMLDecodeError/s],
  ['sh', './scripts/nothing', /^there is no .*nothing/],
  ['sh', './scripts/test nothing', /^there is no suite nothing/],
  ['cobol', 'STOP RUN.', /^4: no check knows the language "cobol"/],
  ['', 'anything', /^4: no check knows the language ""/],
])('finds a mistake in %s: %s', (language, line, expected) => {
  expect(problems(page([language, line]))).toEqual([expect.stringMatching(expected)]);
});

it('refuses a block without an end', () => {
  expect(() => blocksOf('```ts\nconst a = 1;')).toThrow('line 1 does not end');
});
