import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { FROM_PANEL } from '../../src/devtools/protocol.ts';

/** A file of the sources as it is in a production bundle. */
async function bundled(file: string): Promise<string> {
  const args = [join(__dirname, 'bundle.mjs'), join(__dirname, '../../src', file)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 << 20 });
  return stdout;
}

it('leaves nothing but an empty hook in a production bundle', async () => {
  // What would be there otherwise.
  expect(await bundled('devtools/connect.ts')).toContain(FROM_PANEL);
  const hook = await bundled('devtools.ts');
  expect(hook).toContain('useSynclineDevTools');
  expect(hook).not.toContain(FROM_PANEL);
  expect(hook).not.toContain('DevToolsPlugin');
}, 150_000);
