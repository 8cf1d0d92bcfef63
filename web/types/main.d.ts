export type State = {
    /**
     * the number to show; undefined while nothing is known
     */
    count: number | undefined;
    /**
     * what this browser's visitor contributes
     */
    mine: number;
};
export type Source = 'server' | 'visitor';
/**
 * @typedef {object} State
 * @property {number | undefined} count the number to show; undefined while nothing is known
 * @property {number} mine what this browser's visitor contributes
 * @typedef {'server' | 'visitor'} Source who changed the number: others, or this page's visitor
 */
/** Why a press was taken back, or a topic is none. */
export declare class TallyError extends Error {
    code: string;
    name: string;
    /**
     * @param {string} code from the service's table, such as `rate_limited`
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
     *   has the number pushed, until the function returned is called. The listener is called at once
     *   where the number is known, and after each change; refused, when a press of this page was taken
     *   back or the service has no such topic
     */
    subscribe: (listener: (state: State, source: Source) => void, refused?: (error: TallyError) => void) => () => void;
    /**
     * this visitor contributes so much from now
     * on; shown at once. Resolves when the service has it, however long that takes; rejects with a
     * TallyError when the service refused, and what was shown was taken back
     */
    contribute: (amount: number) => Promise<State>;
    /**
     * contribute(1)
     */
    like: () => Promise<State>;
    /**
     * contribute(0)
     */
    unlike: () => Promise<State>;
    /**
     * the number that the page was rendered with
     */
    seed: (count: number) => void;
};
export type Tally = {
    /**
     * a change is told by `tally-status` on the document
     */
    status: import('./client.js').Status;
    topic: (name: string) => Topic;
};
/**
 * One count: `site/metric/key`.
 *
 * @typedef {object} Topic
 * @property {string} name
 * @property {State} state the same object until something changes
 * @property {(listener: (state: State, source: Source) => void, refused?: (error: TallyError) => void) => () => void} subscribe
 *   has the number pushed, until the function returned is called. The listener is called at once
 *   where the number is known, and after each change; refused, when a press of this page was taken
 *   back or the service has no such topic
 * @property {(amount: number) => Promise<State>} contribute this visitor contributes so much from now
 *   on; shown at once. Resolves when the service has it, however long that takes; rejects with a
 *   TallyError when the service refused, and what was shown was taken back
 * @property {() => Promise<State>} like contribute(1)
 * @property {() => Promise<State>} unlike contribute(0)
 * @property {(count: number) => void} seed the number that the page was rendered with
 */
/**
 * @typedef {object} Tally what this page knows of one service
 * @property {import('./client.js').Status} status a change is told by `tally-status` on the document
 * @property {(name: string) => Topic} topic
 */
/**
 * Nothing is opened, and no DOM is touched, before a topic is subscribed to: on a server this
 * may be called, and does nothing.
 * @param {{ api: string | URL }} options api is where the service is, with its base path
 * @returns {Tally}
 */
export declare function connect({ api }: {
    api: string | URL;
}): Tally;
