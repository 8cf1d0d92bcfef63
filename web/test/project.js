/** A project of somebody else's that has the package installed, as npm gives it. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The package's own directory. */
export const web = join(import.meta.dirname, '..');

/**
 * Runs a command and returns what it says; where it fails, the error tells.
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {Record<string, string>} [env]
 */
export const run = (command, args, cwd, env) => {
  try {
    return execFileSync(command, args, { cwd, env: { ...process.env, ...env }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = /** @type {any} */ (error);
    throw new Error(`${command} ${args.join(' ')}:\n${stdout}${stderr}`);
  }
};

/**
 * Packs the package and installs it into a new directory.
 * @param {string[]} others packages that the project has beside it, as the lock file names them
 * @returns {Promise<string>} the directory, which is the caller's to remove
 */
export async function makeProject(others) {
  const project = await mkdtemp(join(tmpdir(), 'tallycast-project-'));
  const [{ filename }] = JSON.parse(run('npm', ['pack', '--json', '--silent', '--pack-destination', project], web).replace(/^[^[]*/, ''));
  const installed = join(project, 'node_modules/@tallycast');
  await mkdir(installed, { recursive: true });
  run('tar', ['-xzf', join(project, filename), '-C', installed], project);
  run('mv', ['package', 'web'], installed);
  for (const name of others) {
    const link = join(project, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(web, 'node_modules', name), link);
  }
  await writeFile(join(project, 'package.json'), '{"type":"module"}');
  return project;
}
