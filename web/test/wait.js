import { availableParallelism, loadavg } from 'node:os';

/**
 * How long a step may take that only a slow machine delays, such as the start of a process or the load of a page, in
 * milliseconds. The first page of a browser takes half a minute while compilers take the processor.
 */
export const PATIENCE = 120_000;

/** The default deadline, in milliseconds. A page that only polls is later: it polls every 10 s. */
const DEADLINE = 8000;

/** The time between two checks is this share of the time waited so far, between these bounds in milliseconds. */
const [SHORTEST, LONGEST, SHARE] = [25, 200, 4];

/**
 * Repeats check until it does not throw, and returns its result. After the deadline it throws the last error. The
 * deadline does not count the time of the checks, unless that alone exceeds PATIENCE, and is longer while more programs
 * run than the machine has processors.
 * @template T
 * @param {() => T | Promise<T>} check
 * @param {number} [deadline] in milliseconds
 * @returns {Promise<T>}
 */
export async function eventually(check, deadline = DEADLINE) {
  const latest = Date.now() + Math.max(deadline, PATIENCE);
  for (let waited = 0; ; ) {
    try {
      return await check();
    } catch (error) {
      if (waited >= deadline * Math.max(1, loadavg()[0] / availableParallelism()) || Date.now() > latest) throw error;
      const pause = Math.max(SHORTEST, Math.min(waited / SHARE, LONGEST));
      await new Promise((resolve) => setTimeout(resolve, pause));
      waited += pause;
    }
  }
}
