/** How long a condition may take by default, in milliseconds. */
const DEADLINE = 8000;

/** Time between two looks, in milliseconds. */
const LOOK = 25;

/**
 * Repeats check until it does not throw, and returns what it returns; after the deadline its
 * error is the caller's.
 * @template T
 * @param {() => T | Promise<T>} check
 * @param {number} [deadline] in milliseconds
 * @returns {Promise<T>}
 */
export async function eventually(check, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
}
