/** The longest pause between two attempts, in milliseconds. */
const LONGEST = 30_000;

/** What the bound of the first pause is, in milliseconds. */
const SHORTEST = 500;

/**
 * A pause between attempts: random, so that pages that failed together do not come back together, up
 * to a bound that doubles.
 * @param {number} failed attempts in a row
 * @returns {number} in milliseconds
 */
export const pauseAfter = (failed) => Math.random() * Math.min(LONGEST, SHORTEST * 2 ** failed);
