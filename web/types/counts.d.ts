/**
 * Returns the count of each option as the service will answer: the visitor's own choice moves both numbers at once.
 * @param {{ options?: number[], mine: number, confirmed: number }} topic
 * @param {number} length how many options
 */
export declare const countsOf: ({ options, mine, confirmed }: {
    options?: number[];
    mine: number;
    confirmed: number;
}, length: number) => number[];
