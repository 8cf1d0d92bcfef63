/** A project with the package installed by npm. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

/** The package's folder. */
export const web = join(import.meta.dirname, '..');

/**
 * Runs a command and returns its output; a failure has it in the error.
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {Record<string, string>} [env]
 */
export const run = async (command, args, cwd, env) => {
  try {
    return (await promisify(execFile)(command, args, { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26 })).stdout;
  } catch (error) {
    const { stdout, stderr } = /** @type {any} */ (error);
    throw new Error(`${command} ${args.join(' ')}:\n${stdout}${stderr}`);
  }
};

/**
 * Packs the package as in a new clone, and installs it into an empty project. Nothing is downloaded.
 * @param {string[]} others other packages of the project, as the lock file names them
 * @returns {Promise<string>} the folder, which the caller removes
 */
export async function makeProject(others) {
  const project = await mkdtemp(join(tmpdir(), 'tallycast-project-'));
  const clone = join(project, 'clone');
  await cp(web, clone, { recursive: true, filter: (path) => !['node_modules', 'test', 'examples'].includes(basename(path)) });
  const [{ filename }] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', project], clone));
  await writeFile(join(project, 'package.json'), '{"private":true,"type":"module"}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', filename], project);
  for (const name of others) {
    const link = join(project, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(web, 'node_modules', name), link);
  }
  return project;
}
