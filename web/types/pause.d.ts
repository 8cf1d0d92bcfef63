/**
 * A pause between attempts: random, so that pages that failed together do not come back together, up
 * to a bound that doubles.
 * @param {number} failed attempts in a row
 * @returns {number} in milliseconds
 */
export declare const pauseAfter: (failed: number) => number;
