/** openapi.yaml passes a public linter. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { web } from './project.js';

const openapi = join(web, '../internal/api/openapi.yaml');

/**
 * Returns the linter's findings.
 * @param {string} path
 * @returns {Promise<string[]>}
 */
async function lint(path) {
  const args = ['lint', '--config', join(web, 'redocly.yaml'), '--format', 'json', path];
  // No telemetry and no update check.
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  const { stdout } = await promisify(execFile)(join(web, 'node_modules/.bin/redocly'), args, { env, maxBuffer: 1 << 26 }).catch((error) => error);
  return JSON.parse(stdout).problems.map((/** @type {any} */ { ruleId, message, location }) => `${ruleId}: ${message} (${location[0].pointer})`);
}

test('openapi.yaml has no errors and no warnings', async () => {
  assert.deepEqual(await lint(openapi), []);
});

test('the linter finds a missing security entry and a broken reference', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tallycast-openapi-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, 'openapi.yaml');
  const text = await readFile(openapi, 'utf8');
  await writeFile(path, text.replace(/^security: .*\n/m, '').replace('#/components/responses/Topic', '#/components/responses/Nothing'));
  const found = (await lint(path)).join('\n');
  assert.match(found, /^security-defined: /m);
  assert.match(found, /^no-unresolved-refs: /m);
});
