/** Builds the service, runs the browser tests against it, and cleans up. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;
const dir = mkdtempSync(join(tmpdir(), 'tallycast-web-'));
/** The Makefile builds the program for all tests and sets this variable. */
const built = process.env.TALLYCAST_TEST_BINARIES;
const binary = join(built ?? dir, 'tallycast');

/**
 * @param {string} command
 * @param {string[]} args
 */
const run = (command, args) =>
  spawnSync(command, args, {
    cwd: join(here, '..'),
    stdio: 'inherit',
    env: { ...process.env, TALLYCAST_TEST_BINARY: binary },
  }).status ?? 1;

let status = built ? 0 : run('go', ['build', '-o', binary, '../cmd/tallycast']);
if (status === 0) {
  // The arguments are files, or one of the two groups of files below; without any, all files.
  const only = process.argv.slice(2);
  const group = ['shared', 'alone'].find((name) => only[0] === name);
  const files = !only.length || group ? readdirSync(here).filter((name) => name.endsWith('.test.js')) : only;
  const test = (/** @type {number} */ atOnce, /** @type {string[]} */ files) =>
    files.length ? run(process.execPath, ['--test-reporter=spec', join(here, 'files.js'), String(atOnce), ...files.sort()]) : 0;
  // Tests of frames, tasks and screenshots run alone.
  const alone = (/** @type {string} */ file) => /(load|latency|screenshots)\.test\.js$/.test(file);
  // Files mostly wait, so one more than the two cores keeps these busy.
  if (group !== 'alone') status = test(3, files.filter((file) => !alone(file)));
  if (group !== 'shared') status ||= test(1, files.filter(alone));
}
rmSync(dir, { recursive: true, force: true });
process.exit(status);
