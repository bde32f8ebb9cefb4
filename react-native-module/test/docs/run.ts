import ts from 'typescript';

import type { PageModule } from './blocks.ts';

type Exports = Record<string, unknown>;

const PACKAGE = 'expo-syncline';

/** What the package's entries are in its sources. */
function required(name: string): unknown {
  const [first = '', ...entry] = name.split('/');
  if (first === PACKAGE) return jest.requireActual(`../../src/${entry.join('/') || 'index'}.ts`);
  return jest.requireActual(name);
}

/**
 * Runs a file of a page, with those that it imports, and returns what it exports. `instead` stands in for some of what the package
 * exports.
 */
export function runModule(modules: readonly PageModule[], first: PageModule, instead: Exports = {}): Exports {
  const loaded = new Map<PageModule, Exports>();
  const load = (module: PageModule): Exports => {
    const known = loaded.get(module);
    if (known) return known;
    const exports: Exports = {};
    loaded.set(module, exports);
    const { outputText } = ts.transpileModule(module.text, {
      fileName: module.name,
      compilerOptions: {
        module: ts.ModuleKind.CommonJS,
        target: ts.ScriptTarget.ES2022,
        jsx: ts.JsxEmit.ReactJSX,
      },
    });
    const require = (path: string): unknown => {
      const own = modules.find((other) => other.name.replace(/\.tsx?$/, '') === path.replace('./', ''));
      if (path.startsWith('./') && own) return load(own);
      return path === PACKAGE ? { ...(required(path) as Exports), ...instead } : required(path);
    };
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- The code of our own pages.
    const run = new Function('exports', 'require', outputText) as (
      ...args: [Exports, typeof require]
    ) => void;
    run(exports, require);
    return exports;
  };
  return load(first);
}

/** Runs the file of a page that exports `name`, and returns what is exported under it. */
export function exported(modules: readonly PageModule[], name: string, instead: Exports = {}): unknown {
  const module = modules.find(({ text }) =>
    new RegExp(`export (?:default )?(?:async )?(?:function|const) ${name}\\b`).test(text),
  );
  if (!module) throw new Error(`no block exports ${name}`);
  const exports = runModule(modules, module, instead);
  return exports[name] ?? exports['default'];
}
