/**
 * Assertions, and other requests that carry the visitor's id.
 *
 * @typedef {object} Refusal
 * @property {string} [code] of the service, such as `rate_limited`
 * @property {string} [message] for people
 * @property {number} [status] of HTTP; 0 without an answer. The client sets that of an answer over its socket: 503 if the
 *   store may have applied the assertion, else 400
 * @property {number} [retry_after] how long the service asks to wait, in seconds
 *
 * @typedef {object} Answer either error, or what the service answered
 * @property {Refusal} [error]
 * @property {number} [count]
 * @property {number} [version]
 * @property {number} [mine]
 * @property {object[]} [counts] of /v1/counts
 */
export type Refusal = {
    /**
     * of the service, such as `rate_limited`
     */
    code?: string;
    /**
     * for people
     */
    message?: string;
    /**
     * of HTTP; 0 without an answer. The client sets that of an answer over its socket: 503 if the
     * store may have applied the assertion, else 400
     */
    status?: number;
    /**
     * how long the service asks to wait, in seconds
     */
    retry_after?: number;
};
export type Answer = {
    error?: Refusal;
    count?: number;
    version?: number;
    mine?: number;
    /**
     * of /v1/counts
     */
    counts?: object[];
};
/**
 * Returns the header Retry-After in seconds, at most an hour: timers overflow after 24 days. A date,
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
 * Encodes a topic, or a key, as a part of a URL's path.
 * @param {string} topic site/metric/key
 */
export declare const encodeTopic: (topic: string) => string;
/**
 * Asserts that the visitor contributes an amount to a topic: over the client's connection, or by a request.
 * @param {import('./client.js').Client} client
 * @param {string} topic
 * @param {string | undefined} visitor undefined lets the service derive one
 * @param {number} amount
 * @param {boolean} [choice] the visitor chooses the option with this number; 0 withdraws
 * @returns {Promise<Answer>}
 */
export declare const assert: (client: import('./client.js').Client, topic: string, visitor: string | undefined, amount: number, choice?: boolean) => Promise<Answer>;
