export type Contribution = {
    topic: string;
    count: number;
    version: number;
    mine?: number;
    error?: object;
};
/**
 * @typedef {{ topic: string, count: number, version: number, mine?: number, error?: object }} Contribution
 *   a topic's number and what the visitor contributes to it; without mine the store is away
 */
/**
 * Asks what the visitor contributes to topics, and tells who asked.
 * @param {string} api where the service is, with a slash at the end
 * @param {Record<string, import('./topic.js').Confirm>} confirms topic → what takes the answer
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; else whether the service has all these topics
 */
export declare function ask(api: string, confirms: Record<string, import('./topic.js').Confirm>, visitor: string | undefined): Promise<import('./assert.js').Answer | boolean>;
