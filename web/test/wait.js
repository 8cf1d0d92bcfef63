/** The default deadline, in milliseconds. */
const DEADLINE = 8000;

/** The time between two checks is this share of the time waited so far, between these bounds in milliseconds. */
const [SHORTEST, LONGEST, SHARE] = [25, 200, 16];

/**
 * Repeats check until it does not throw, and returns its result. After the deadline it throws the last error.
 * @template T
 * @param {() => T | Promise<T>} check
 * @param {number} [deadline] in milliseconds
 * @returns {Promise<T>}
 */
export async function eventually(check, deadline = DEADLINE) {
  const began = Date.now();
  for (;;) {
    try {
      return await check();
    } catch (error) {
      const waited = Date.now() - began;
      if (waited > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.max(SHORTEST, Math.min(waited / SHARE, LONGEST))));
    }
  }
}
