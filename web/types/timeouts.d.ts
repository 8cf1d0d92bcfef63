/** Timeouts of the connection, in milliseconds. They depend on each other, and on the service's beat of 25 s. */
/** How long a hidden page stays connected, so that a short look at another tab costs nothing. */
export declare const HIDDEN_DELAY = 10000;
/** A link without a frame for this long is closed. The service sends a beat every 25 s. */
export declare const SILENCE_TIMEOUT = 60000;
/** A link without a first frame for this long does not work here. A link that lasts longer resets the backoff. */
export declare const FIRST_FRAME_TIMEOUT = 10000;
/** An assertion over a link without an answer for this long is posted: the service answers within 3 s. */
export declare const ASSERTION_TIMEOUT = 3000;
/** How often a link is checked: is it silent, is it still needed? */
export declare const CHECK_INTERVAL = 5000;
/** How long to stay away from an instance that is full (close code 1013). */
export declare const FULL_DELAY = 15000;
/**
 * Pages that learn at the same time that they have something to send, such as after an outage of the store, spread their
 * requests over this time. Questions for a contribution that is most likely still there take ten times as long.
 */
export declare const REQUEST_SPREAD = 3000;
