export type Reason = 'server' | 'visitor' | 'kept' | 'refused' | 'error';
export type State = {
    count: number;
    version: number;
    options?: number[];
};
export type Failure = {
    code?: string;
    message?: string;
};
export type Listener = (reason: Reason, failure?: Failure) => void;
export type Receiver = (answer: import('./contributions.js').Contribution) => void;
export type Topic = {
    /**
     * site/metric/key
     */
    name: string;
    /**
     * the visitor's contribution as shown
     */
    mine: number;
    /**
     * the number to show; undefined while it is unknown
     */
    count: number | undefined;
    /**
     * contributions are options, from 1 on, and not amounts; 0 is none
     */
    choice: boolean;
    /**
     * the service's count of each option
     */
    options: number[] | undefined;
    /**
     * the contribution that the service has
     */
    confirmed: number;
    /**
     * why the service does not have the topic
     */
    failure: Failure | undefined;
    listeners: Set<Listener>;
    /**
     * takes the number, or its digits, that the page was rendered with, until the
     * service sends one
     */
    seed: (count: any) => void;
    /**
     * takes a frame
     */
    receive: (frame: State & {
        error?: Failure;
        stale?: boolean;
    }) => void;
    /**
     * accepts any version in the next frame, since the store
     * behind a new connection may be an older one. storeLost says that the store was away
     */
    expectSnapshot: (storeLost?: boolean) => void;
    /**
     * the service may have lost the visitor's contribution
     */
    uncertain: boolean;
    /**
     * returns a function that takes the visitor's contribution as the service has
     * it, until something else changes it
     */
    makeReceiver: () => Receiver;
    /**
     * sets what the visitor contributes, calls the
     * listeners, and sends it; with more, the next flush sends it
     */
    contribute: (amount: number, more?: boolean) => void;
    /**
     * takes over what another tab stored
     */
    reload: () => void;
    /**
     * asserts the pending amount until the service accepts or refuses it; if that
     * is already happening, without waiting further
     */
    flush: () => Promise<void>;
};
/**
 * Why listeners are called: `server`, the service sent a number; `visitor`, this page's visitor pressed, or the
 * service has the press; `kept`, no answer came, or the store is away, and the press is sent later; `refused`, the
 * press was taken back; `error`, the service does not have the topic.
 * @typedef {'server' | 'visitor' | 'kept' | 'refused' | 'error'} Reason
 * @typedef {{ count: number, version: number, options?: number[] }} State
 * @typedef {{ code?: string, message?: string }} Failure
 * @typedef {(reason: Reason, failure?: Failure) => void} Listener
 * @typedef {(answer: import('./contributions.js').Contribution) => void} Receiver
 */
/**
 * @typedef {object} Topic
 * @property {string} name site/metric/key
 * @property {number} mine the visitor's contribution as shown
 * @property {number | undefined} count the number to show; undefined while it is unknown
 * @property {boolean} choice contributions are options, from 1 on, and not amounts; 0 is none
 * @property {number[] | undefined} options the service's count of each option
 * @property {number} confirmed the contribution that the service has
 * @property {Failure | undefined} failure why the service does not have the topic
 * @property {Set<Listener>} listeners
 * @property {(count: any) => void} seed takes the number, or its digits, that the page was rendered with, until the
 *   service sends one
 * @property {(frame: State & { error?: Failure, stale?: boolean }) => void} receive takes a frame
 * @property {(storeLost?: boolean) => void} expectSnapshot accepts any version in the next frame, since the store
 *   behind a new connection may be an older one. storeLost says that the store was away
 * @property {boolean} uncertain the service may have lost the visitor's contribution
 * @property {() => Receiver} makeReceiver returns a function that takes the visitor's contribution as the service has
 *   it, until something else changes it
 * @property {(amount: number, more?: boolean) => void} contribute sets what the visitor contributes, calls the
 *   listeners, and sends it; with more, the next flush sends it
 * @property {() => void} reload takes over what another tab stored
 * @property {() => Promise<void>} flush asserts the pending amount until the service accepts or refuses it; if that
 *   is already happening, without waiting further
 */
/**
 * Makes the state of one topic on this page: the service's newest number, and what the visitor wants.
 *
 * Numbers are absolute and have versions; nothing is ever added up. The count shown is the service's count, plus
 * the difference between the pending and the confirmed contribution. At most one assertion is in flight; the
 * next one carries the newest amount. Meanwhile frames are held: the version of the answer tells whether they
 * include the assertion.
 * @param {string} name site/metric/key
 * @param {import('./client.js').Client} client
 * @returns {Topic}
 */
export declare function makeTopic(name: string, client: import('./client.js').Client): Topic;
