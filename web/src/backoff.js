/** The longest pause between two attempts, in milliseconds. */
const LONGEST = 30_000;

/** The limit of the first pause, in milliseconds. */
const SHORTEST = 500;

/**
 * Returns a random pause below a limit that doubles with each failure, so that pages that failed together
 * do not come back together.
 * @param {number} failures in a row
 * @returns {number} in milliseconds
 */
export const backoff = (failures) => Math.random() * Math.min(LONGEST, SHORTEST * 2 ** failures);
