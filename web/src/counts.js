/**
 * Returns the count of each option as the service will answer: the visitor's own choice moves both numbers at once.
 * @param {{ options?: number[], mine: number, confirmed: number }} topic
 * @param {number} length how many options
 */
export const countsOf = ({ options, mine, confirmed }, length) =>
  Array.from({ length }, (_, index) => Math.max(0, (options?.[index] || 0) + +(mine === index + 1) - +(confirmed === index + 1)));
