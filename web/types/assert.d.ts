/**
 * What a visitor's contributions are: asserted, and asked for, over HTTP.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the store has it, or told it
 * @property {number} status of a refusal; 0 where no answer came
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
 * @property {Contribution[]} [counts] with ok, of {@link ask}
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
     * with ok, of {@link ask}
     */
    counts?: Contribution[];
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
export type Contribution = {
    topic: string;
    count: number;
    version: number;
    mine?: number;
    error?: object;
};
/**
 * Says that the visitor contributes amount to the topic.
 * @param {string} api where the service is, with a slash at the end
 * @param {string} topic
 * @param {string | undefined} visitor undefined where the server is to derive one, for a day
 * @param {number} amount
 */
export declare const assert: (api: string, topic: string, visitor: string | undefined, amount: number) => Promise<Answer>;
/**
 * Asks what the visitor contributes to topics.
 * @param {string} api where the service is, with a slash at the end
 * @param {string[]} topics
 * @param {string | undefined} visitor
 */
export declare const ask: (api: string, topics: string[], visitor: string | undefined) => Promise<Answer>;
