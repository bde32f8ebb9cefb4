// The package as an app installs it, under the app's own jest: jest-expo finds the stand-in for the native module.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(__dirname, '..');

/** A compiler and a second jest, on whatever machine there is. */
/** What a test of the app may take where the machine is busy. */
const SLOW_MS = 60_000;
const TIMEOUT_MS = 300_000;

/** With the sources: jest-expo looks into the file that asks for the module, where its source map leads. */
const SHIPPED = ['package.json', 'mocks', 'src', 'tsconfig.json', 'tsconfig.build.json'];

const run = promisify(execFile);

let folder: string;

/** An app that has installed the package; everything else it has from here. */
async function install(): Promise<string> {
  folder = mkdtempSync(join(tmpdir(), 'syncline-app-'));
  const app = join(folder, 'app');
  const installed = join(app, 'node_modules', 'expo-syncline');
  mkdirSync(installed, { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const part of SHIPPED) cpSync(join(ROOT, part), join(installed, part), { recursive: true });
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', join(installed, 'tsconfig.build.json')]);
  cpSync(join(ROOT, 'test/fixtures/app/screen.spec.tsx'), join(app, 'screen.test.tsx'));
  writeFileSync(join(app, 'babel.config.js'), "module.exports = { presets: ['babel-preset-expo'] };\n");
  writeFileSync(
    join(app, 'package.json'),
    JSON.stringify({ name: 'app', jest: { preset: 'jest-expo', testTimeout: SLOW_MS } }),
  );
  return app;
}

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

it(
  'is tested by an app without any set-up',
  async () => {
    const app = await install();
    const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
    const report = await run(process.execPath, [jest, '--ci', '--json', '--runInBand'], { cwd: app }).then(
      ({ stdout }) => stdout,
      // It says what failed in the same form.
      (error: unknown) => (error as { stdout: string }).stdout,
    );
    const { numPassedTests, numTotalTests, testResults } = JSON.parse(report) as {
      numPassedTests: number;
      numTotalTests: number;
      testResults: { message: string }[];
    };
    expect(testResults.map(({ message }) => message)).toEqual(['']);
    expect([numPassedTests, numTotalTests]).toEqual([3, 3]);
  },
  TIMEOUT_MS,
);
