export type State = {
    /**
     * the number to show; undefined while it is unknown
     */
    count: number | undefined;
    /**
     * the visitor's contribution; in a choice metric the option, from 1 on, or 0
     */
    mine: number;
    /**
     * of a choice metric: the count of each option
     */
    options?: number[];
};
export type Source = 'server' | 'visitor';
/**
 * @typedef {object} State
 * @property {number | undefined} count the number to show; undefined while it is unknown
 * @property {number} mine the visitor's contribution; in a choice metric the option, from 1 on, or 0
 * @property {number[]} [options] of a choice metric: the count of each option
 * @typedef {'server' | 'visitor'} Source who changed the number: others, or this page's visitor
 */
/** Why the service refused a press, or does not have a topic. */
export declare class TallyError extends Error {
    code: string;
    name: string;
    /**
     * @param {string} code of the service, such as `rate_limited`
     * @param {string} message for people
     */
    constructor(code: string, message: string);
}
export type Topic = {
    name: string;
    /**
     * the same object until something changes
     */
    state: State;
    /**
     *   subscribes until the returned function is called. It calls the listener at once if the number is known, and
     *   after each change; it calls refused if a press of this page was taken back, or the service does not have the topic
     */
    subscribe: (listener: (state: State, source: Source) => void, refused?: (error: TallyError) => void) => () => void;
    /**
     * sets what this visitor contributes, and shows it at once.
     * It resolves when the service has it, however long that takes; it rejects with a TallyError, and takes the
     * change back, if the service refuses it
     */
    contribute: (amount: number) => Promise<State>;
    /**
     * chooses an option of a choice metric, from 1 on; 0 takes the
     * choice back
     */
    choose: (option: number) => Promise<State>;
    /**
     * contribute(1)
     */
    like: () => Promise<State>;
    /**
     * contribute(0)
     */
    unlike: () => Promise<State>;
    /**
     * sets the number that the page was rendered with
     */
    seed: (count: number) => void;
};
export type Tally = {
    /**
     * the event `tally-status` on the document tells of a change
     */
    status: import('./client.js').Status;
    topic: (name: string) => Topic;
    /**
     * says who reads the page: a function
     * that returns the token by which the site's backend signs it, or nothing if nobody is signed in. It is called again
     * shortly before the token expires. null after signing out
     */
    identify: (getToken: import('./signin.js').GetToken | null) => Promise<void>;
};
/**
 * One count: `site/metric/key`.
 *
 * @typedef {object} Topic
 * @property {string} name
 * @property {State} state the same object until something changes
 * @property {(listener: (state: State, source: Source) => void, refused?: (error: TallyError) => void) => () => void} subscribe
 *   subscribes until the returned function is called. It calls the listener at once if the number is known, and
 *   after each change; it calls refused if a press of this page was taken back, or the service does not have the topic
 * @property {(amount: number) => Promise<State>} contribute sets what this visitor contributes, and shows it at once.
 *   It resolves when the service has it, however long that takes; it rejects with a TallyError, and takes the
 *   change back, if the service refuses it
 * @property {(option: number) => Promise<State>} choose chooses an option of a choice metric, from 1 on; 0 takes the
 *   choice back
 * @property {() => Promise<State>} like contribute(1)
 * @property {() => Promise<State>} unlike contribute(0)
 * @property {(count: number) => void} seed sets the number that the page was rendered with
 */
/**
 * @typedef {object} Tally the topics of one service
 * @property {import('./client.js').Status} status the event `tally-status` on the document tells of a change
 * @property {(name: string) => Topic} topic
 * @property {(getToken: import('./signin.js').GetToken | null) => Promise<void>} identify says who reads the page: a function
 *   that returns the token by which the site's backend signs it, or nothing if nobody is signed in. It is called again
 *   shortly before the token expires. null after signing out
 */
/**
 * Connects to a service. It opens nothing, and touches no DOM, before a topic is subscribed to, so that a server
 * may call it.
 * @param {{ api: string | URL }} options api is the service's URL with its base path
 * @returns {Tally}
 */
export declare function connect({ api }: {
    api: string | URL;
}): Tally;
