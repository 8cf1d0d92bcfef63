/**
 * Requests that carry the visitor's id.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the service answered with the required field
 * @property {number} status of a refusal; 0 without an answer
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
 * @property {object[]} [counts] with ok, of /v1/counts
 * @property {string} [code] of a refusal, such as `rate_limited`
 * @property {string} [message] of a refusal, for people
 * @property {number} retry how long the service asks to wait, in milliseconds; 0 if it does not say
 */
export type Answer = {
    /**
     * the service answered with the required field
     */
    ok?: boolean;
    /**
     * of a refusal; 0 without an answer
     */
    status: number;
    /**
     * with ok
     */
    count?: number;
    /**
     * with ok
     */
    version?: number;
    /**
     * with ok
     */
    mine?: number;
    /**
     * with ok, of /v1/counts
     */
    counts?: object[];
    /**
     * of a refusal, such as `rate_limited`
     */
    code?: string;
    /**
     * of a refusal, for people
     */
    message?: string;
    /**
     * how long the service asks to wait, in milliseconds; 0 if it does not say
     */
    retry: number;
};
/**
 * Returns the header Retry-After in milliseconds, at most an hour: timers overflow after 24 days. A date,
 * which some proxies send, is 0.
 * @param {Headers} headers
 */
export declare const retryAfter: (headers: Headers) => number;
/**
 * Posts a body as text/plain, which needs no preflight. The request outlives the page.
 * @param {string} url
 * @param {object} body
 * @param {string} required the field that tells the service's answer from a proxy's
 * @returns {Promise<Answer>}
 */
export declare const post: (url: string, body: object, required: string) => Promise<Answer>;
/**
 * Asserts that the visitor contributes an amount to a topic.
 * @param {string} api the service's URL
 * @param {string} topic
 * @param {string | undefined} visitor undefined lets the service derive one
 * @param {number} amount
 * @param {boolean} [choice] the visitor chooses the option with this number; 0 withdraws
 */
export declare const assert: (api: string, topic: string, visitor: string | undefined, amount: number, choice?: boolean) => Promise<Answer>;
