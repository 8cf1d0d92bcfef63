export type Reason = 'server' | 'visitor' | 'kept' | 'refused' | 'error';
export type State = {
    count: number;
    version: number;
};
export type Failure = {
    code?: string;
    message?: string;
    retry?: number;
};
export type Listener = (reason: Reason, failure?: Failure) => void;
export type Confirm = (answer: import('./ask.js').Contribution) => void;
export type Topic = {
    /**
     * site/metric/key
     */
    name: string;
    /**
     * what the visitor sees as its own contribution
     */
    own: number;
    /**
     * the number to show; undefined while nothing is known
     */
    shown: number | undefined;
    /**
     * why the server has no such topic
     */
    failure: Failure | undefined;
    listeners: Set<Listener>;
    /**
     * takes the number that the page was rendered with, or its
     * digits; what the server pushes replaces it
     */
    seed: (count: any) => void;
    /**
     * takes a frame from the server;
     * true where its visitor's contribution may have gone, and is to be asked for
     */
    receive: (frame: State & {
        error?: Failure;
        stale?: boolean;
    }) => boolean;
    /**
     * says that the connection ended, or a snapshot was asked for: the
     * next frame is taken whatever its version, since the store may have become older. lost says that it was away
     */
    renew: (lost?: boolean) => void;
    /**
     * returns what takes the
     * server's answer to what the visitor contributes; false where it need not be asked
     */
    ask: () => Confirm | false;
    /**
     * the visitor wants to contribute amount;
     * listeners are called before it returns. Where more is to come, it is sent with the next flush
     */
    press: (amount: number, later?: boolean) => void;
    /**
     * takes up what another tab wrote
     */
    recall: () => void;
    /**
     * asserts the wish until the server agrees or refuses; where
     * that is under way, without further pause
     */
    flush: () => Promise<void>;
};
/**
 * Why listeners are called: `server`, the number came from there; `visitor`, this page's
 * visitor pressed, or the server has what was pressed; `kept`, no answer came and the press
 * will be sent later; `refused`, it was taken back; `error`, the server does not know such a topic.
 * @typedef {'server' | 'visitor' | 'kept' | 'refused' | 'error'} Reason
 * @typedef {{ count: number, version: number }} State
 * @typedef {{ code?: string, message?: string, retry?: number }} Failure
 * @typedef {(reason: Reason, failure?: Failure) => void} Listener
 * @typedef {(answer: import('./ask.js').Contribution) => void} Confirm
 */
/**
 * @typedef {object} Topic
 * @property {string} name site/metric/key
 * @property {number} own what the visitor sees as its own contribution
 * @property {number | undefined} shown the number to show; undefined while nothing is known
 * @property {Failure | undefined} failure why the server has no such topic
 * @property {Set<Listener>} listeners
 * @property {(count: any) => void} seed takes the number that the page was rendered with, or its
 *   digits; what the server pushes replaces it
 * @property {(frame: State & { error?: Failure, stale?: boolean }) => boolean} receive takes a frame from the server;
 *   true where its visitor's contribution may have gone, and is to be asked for
 * @property {(lost?: boolean) => void} renew says that the connection ended, or a snapshot was asked for: the
 *   next frame is taken whatever its version, since the store may have become older. lost says that it was away
 * @property {() => Confirm | false} ask returns what takes the
 *   server's answer to what the visitor contributes; false where it need not be asked
 * @property {(amount: number, later?: boolean) => void} press the visitor wants to contribute amount;
 *   listeners are called before it returns. Where more is to come, it is sent with the next flush
 * @property {() => void} recall takes up what another tab wrote
 * @property {() => Promise<void>} flush asserts the wish until the server agrees or refuses; where
 *   that is under way, without further pause
 */
/**
 * The state of one topic on this page: the server's newest number, and what its visitor wants.
 *
 * Numbers are absolute and carry versions, so that no frame and no answer is ever added to
 * anything: what is shown is the server's count, plus the difference between what the visitor
 * wants and what the server has of it. At most one write is in flight; presses meanwhile change
 * the wish, and the next write carries the newest. While a wish is open frames are kept, not
 * shown: the answer's version tells whether they already contain it. Versions are compared from
 * one snapshot to the next: the store behind a new connection may be an older one.
 * @param {string} name site/metric/key
 * @param {string} api where the service is, with a slash at the end
 * @returns {Topic}
 */
export declare function makeTopic(name: string, api: string): Topic;
