/**
 * What a visitor contributes: said to the service over HTTP.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the store has it, or told it
 * @property {number} status of a refusal; 0 where no answer came
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
 * @property {object[]} [counts] with ok, of a question
 * @property {string} [code] of a refusal, from the contract's table
 * @property {string} [message] of a refusal, for people
 * @property {number} retry how long the server asks to wait, in milliseconds; 0 where it does not say
 */
export type Answer = {
    /**
     * the store has it, or told it
     */
    ok?: boolean;
    /**
     * of a refusal; 0 where no answer came
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
     * with ok, of a question
     */
    counts?: object[];
    /**
     * of a refusal, from the contract's table
     */
    code?: string;
    /**
     * of a refusal, for people
     */
    message?: string;
    /**
     * how long the server asks to wait, in milliseconds; 0 where it does not say
     */
    retry: number;
};
/**
 * How long an answer asks to stay away, in milliseconds, an hour at most: beyond 24 days a timer would
 * run out at once. Some proxies name a date instead; that is no number, and 0.
 * @param {Headers} headers
 */
export declare const afterOf: (headers: Headers) => number;
/**
 * Sends a body as text/plain, which spares a preflight. The request outlives the page.
 * @param {string} url
 * @param {object} body
 * @param {string} proof what an answer has that is one: a proxy's need not be
 * @returns {Promise<Answer>}
 */
export declare const post: (url: string, body: object, proof: string) => Promise<Answer>;
/**
 * Says that the visitor contributes amount to the topic.
 * @param {string} api where the service is, with a slash at the end
 * @param {string} topic
 * @param {string | undefined} visitor undefined where the server is to derive one, for a day
 * @param {number} amount
 */
export declare const assert: (api: string, topic: string, visitor: string | undefined, amount: number) => Promise<Answer>;
