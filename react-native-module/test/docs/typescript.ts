import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import ts from 'typescript';

import type { PageModule } from './blocks.ts';

const ROOT = resolve(__dirname, '../..');

/** Where the pages' files would lie: beside the packages that they import. */
const FOLDER = join(ROOT, 'docs-blocks');

/** What the package exports, as the sources of each entry. */
function entries(): Record<string, string[]> {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    name: string;
    exports: Record<string, string | { types?: string }>;
  };
  return Object.fromEntries(
    Object.entries(manifest.exports).flatMap(([entry, target]) => {
      const types = typeof target === 'string' ? undefined : target.types;
      if (types === undefined) return [];
      const source = types.replace('./build/', './src/').replace(/\.d\.ts$/, '');
      return [[join(manifest.name, entry), [join(ROOT, `${source}.ts`), join(ROOT, `${source}.tsx`)]]];
    }),
  );
}

/** The settings of the module, for code of an app. */
function compilerOptions(): ts.CompilerOptions {
  const file = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(file.config, ts.sys, ROOT);
  return {
    ...options,
    paths: entries(),
    moduleDetection: ts.ModuleDetectionKind.Force,
    declaration: false,
    sourceMap: false,
  };
}

/** Checks the types of pages, one after the other; what they import is read once. */
export class TypeChecker {
  readonly #options = compilerOptions();
  readonly #read = new Map<string, ts.SourceFile | undefined>();
  #last: ts.Program | undefined;

  /** What is wrong in the files of one page, as `line: message`. */
  problems(modules: readonly PageModule[]): string[] {
    const files = new Map(modules.map((module) => [join(FOLDER, module.name), module]));
    if (files.size < modules.length) return ['two blocks have one file name'];
    const base = ts.createCompilerHost(this.#options);
    const host: ts.CompilerHost = {
      ...base,
      fileExists: (path) => files.has(path) || base.fileExists(path),
      readFile: (path) => files.get(path)?.text ?? base.readFile(path),
      directoryExists: (path) => path === FOLDER || (base.directoryExists?.(path) ?? true),
      getSourceFile: (path, target) => {
        const own = files.get(path);
        if (own) return ts.createSourceFile(path, own.text, target);
        if (!this.#read.has(path)) this.#read.set(path, base.getSourceFile(path, target));
        return this.#read.get(path);
      },
    };
    const program = ts.createProgram([...files.keys()], this.#options, host, this.#last);
    this.#last = program;
    return [...files].flatMap(([path, module]) => {
      const file = program.getSourceFile(path);
      const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      return found.map(({ start, messageText }) => {
        const line = file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0;
        return `${module.lines[line] ?? 0}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      });
    });
  }
}

/** What is wrong with the spelling of a piece of JavaScript. */
export function syntaxProblems(text: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(text, {
    reportDiagnostics: true,
    fileName: 'block.mjs',
    compilerOptions: { allowJs: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
