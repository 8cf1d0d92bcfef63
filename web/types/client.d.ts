export type Wants = Record<string, number>;
export type Status = 'live' | 'stale' | 'away';
export type Client = {
    /**
     * where the service is, with a slash at the end
     */
    api: string;
    status: Status;
    /**
     * the state of site/metric/key
     */
    topic: (name: string) => import('./topic.js').Topic;
    /**
     * has the topic pushed until the function returned
     * is called. What is watched and left in one turn of the page reaches the service as one message
     */
    watch: (name: string) => () => void;
    /**
     * makes this page one of the topic's readers, which
     * is to be watched too, until the function returned is called
     */
    present: (name: string) => () => void;
};
/**
 * @typedef {'live' | 'stale' | 'away'} Status `live`, numbers are current; `stale`, the service
 *   lost its store; `away`, not connected. A change is told by `tally-status` on the document
 * @typedef {object} Client what this page knows of one service, over one connection
 * @property {string} api where the service is, with a slash at the end
 * @property {Status} status
 * @property {(name: string) => import('./topic.js').Topic} topic the state of site/metric/key
 * @property {(name: string) => () => void} watch has the topic pushed until the function returned
 *   is called. What is watched and left in one turn of the page reaches the service as one message
 * @property {(name: string) => () => void} present makes this page one of the topic's readers, which
 *   is to be watched too, until the function returned is called
 */
/**
 * Nothing is opened, and no DOM is touched, before the first topic is watched.
 * @param {string} api where the service is, with a slash at the end
 * @returns {Client}
 */
export declare function connect(api: string): Client;
