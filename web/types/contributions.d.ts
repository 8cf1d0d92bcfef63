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
 * Fetches the visitor's contributions to topics, and calls each topic's receiver.
 * @param {string} api the service's URL
 * @param {Record<string, import('./topic.js').Receiver>} receivers by topic
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; otherwise whether the service has all these topics
 */
export declare function fetchContributions(api: string, receivers: Record<string, import('./topic.js').Receiver>, visitor: string | undefined): Promise<import('./assert.js').Answer | boolean>;
