/**
 * Runs test files in one process, which loads the libraries once and shares browsers. Each file is a suite: its hooks
 * and its failures are its own.
 */
import { describe } from 'node:test';

/**
 * How long a test file may take, in milliseconds: a minute on an idle machine, twenty on a busy one; more if
 * MEMORY_SECONDS is set.
 */
const TIMEOUT = 1_200_000 + Number(process.env.MEMORY_SECONDS ?? 0) * 1000;

/** How many files run at once, and their names. The tests of one file run one after the other. */
const [atOnce, ...files] = process.argv.slice(2);

describe('web/test', { concurrency: Number(atOnce) }, () => {
  for (const file of files) describe(file, { concurrency: 1, timeout: TIMEOUT }, () => import(`./${file}`));
});
