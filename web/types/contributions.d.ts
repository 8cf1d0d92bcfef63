export type Contribution = {
    topic: string;
    count: number;
    version: number;
    mine?: number;
    error?: object;
};
/**
 * @typedef {{ topic: string, count: number, version: number, mine?: number, error?: object }} Contribution
 *   a topic's number and the visitor's contribution to it; without mine the store is away
 */
/**
 * Fetches the visitor's contributions to topics.
 * @param {import('./client.js').Client} client
 * @param {import('./topic.js').Topic[]} topics
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; otherwise whether the service has all these topics
 */
export declare function fetchContributions(client: import('./client.js').Client, topics: import('./topic.js').Topic[], visitor: string | undefined): Promise<import('./assert.js').Answer | boolean>;
/**
 * Fetches, after a random delay, the contributions that the service may have lost. An earlier request includes a later
 * one.
 * @param {import('./client.js').Client} client
 * @param {string | undefined} visitor
 * @param {number} spread the longest delay, in units of REQUEST_SPREAD
 */
export declare function confirmLater(client: import('./client.js').Client, visitor: string | undefined, spread: number): void;
