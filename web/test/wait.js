/** How long a condition may take by default, in milliseconds. */
const DEADLINE = 8000;

/** Time between two looks, in milliseconds: a share of what was waited for, between these. */
const [SOONEST, LATEST, SHARE] = [25, 200, 16];

/**
 * Repeats check until it does not throw, and returns what it returns; after the deadline its
 * error is the caller's.
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
      await new Promise((resolve) => setTimeout(resolve, Math.max(SOONEST, Math.min(waited / SHARE, LATEST))));
    }
  }
}
