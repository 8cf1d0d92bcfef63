/**
 * Returns a random pause below a limit that doubles with each failure, so that pages that failed together
 * do not come back together.
 * @param {number} failures in a row
 * @returns {number} in milliseconds
 */
export declare const backoff: (failures: number) => number;
