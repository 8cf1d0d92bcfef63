export type Uses = Record<string, number>;
export type Status = 'live' | 'stale' | 'away';
export type Client = {
    /**
     * the service's URL, with a slash at the end
     */
    api: string;
    /**
     * the key in localStorage of what the browser stores about its visitor
     */
    key: string;
    /**
     * by name
     */
    topics: Record<string, import('./topic.js').Topic>;
    status: Status;
    /**
     * the state of site/metric/key
     */
    topic: (name: string) => import('./topic.js').Topic;
    /**
     * subscribes to a topic until the returned function is called. All
     * changes in one turn of the event loop are one message
     */
    watch: (name: string) => () => void;
    /**
     * makes this page a reader of a watched topic until the returned
     * function is called
     */
    present: (name: string) => () => void;
    /**
     * sends an assertion over the
     * connection. Without an answer the caller posts it
     */
    assert: (message: object) => Promise<import('./assert.js').Answer | void>;
    /**
     * returns the token of the reader who signed in, if any
     */
    token?: () => Promise<string | undefined>;
    /**
     * returns the watched topics whose contribution of this visitor
     * the service may have lost
     */
    uncertain: () => import('./topic.js').Topic[];
};
/**
 * @typedef {'live' | 'stale' | 'away'} Status `live`, numbers are current; `stale`, the service lost its store;
 *   `away`, not connected. The event `tally-status` on the document tells of a change
 * @typedef {object} Client one service's topics, over one connection
 * @property {string} api the service's URL, with a slash at the end
 * @property {string} key the key in localStorage of what the browser stores about its visitor
 * @property {Record<string, import('./topic.js').Topic>} topics by name
 * @property {Status} status
 * @property {(name: string) => import('./topic.js').Topic} topic the state of site/metric/key
 * @property {(name: string) => () => void} watch subscribes to a topic until the returned function is called. All
 *   changes in one turn of the event loop are one message
 * @property {(name: string) => () => void} present makes this page a reader of a watched topic until the returned
 *   function is called
 * @property {(message: object) => Promise<import('./assert.js').Answer | void>} assert sends an assertion over the
 *   connection. Without an answer the caller posts it
 * @property {() => Promise<string | undefined>} [token] returns the token of the reader who signed in, if any
 * @property {() => import('./topic.js').Topic[]} uncertain returns the watched topics whose contribution of this visitor
 *   the service may have lost
 */
/**
 * Makes a client. It opens nothing, and touches no DOM, before the first topic is watched.
 * @param {string} api the service's URL, with a slash at the end
 * @returns {Client}
 */
export declare function connect(api: string): Client;
/**
 * Returns the one client of a service, which elements, hooks and programs share.
 * @param {string | URL} api the service's URL with its base path
 */
export declare function clientOf(api: string | URL): Client;
