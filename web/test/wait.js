/** The default deadline, in milliseconds. */
const DEADLINE = 8000;

/** The time between two checks is this share of the time waited so far, between these bounds in milliseconds. */
const [SHORTEST, LONGEST, SHARE] = [25, 200, 4];

/**
 * Repeats check until it does not throw, and returns its result. After the deadline it throws the last error. The
 * deadline does not count the time of the checks, which are slow on a busy machine.
 * @template T
 * @param {() => T | Promise<T>} check
 * @param {number} [deadline] in milliseconds
 * @returns {Promise<T>}
 */
export async function eventually(check, deadline = DEADLINE) {
  for (let waited = 0; ; ) {
    try {
      return await check();
    } catch (error) {
      if (waited >= deadline) throw error;
      const pause = Math.max(SHORTEST, Math.min(waited / SHARE, LONGEST));
      await new Promise((resolve) => setTimeout(resolve, pause));
      waited += pause;
    }
  }
}
