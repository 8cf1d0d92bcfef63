/**
 * Loads the code that few pages need. In /tally.js it is a second script. Scripts named by their hash include
 * it, so that the integrity in a page covers all code that runs.
 * @returns {Promise<typeof import('./fallback.js')>}
 */
export declare const lazy: () => Promise<typeof import('./fallback.js')>;
/**
 * Fetches the visitor's contributions to topics and calls each topic's receiver. If the script cannot be loaded,
 * the stored contributions hold.
 * @param {string} api the service's URL
 * @param {Record<string, import('./topic.js').Receiver>} receivers by topic
 */
export declare const confirm: (api: string, receivers: Record<string, import('./topic.js').Receiver>) => Promise<boolean | import("./assert.js").Answer>;
