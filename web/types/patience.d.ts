/**
 * How long a page bears with its connection and its service, in one place since the numbers depend on
 * each other, and on the service's beat of 25 s.
 */
/** How long a hidden page stays connected, in milliseconds: a glance at another tab costs nothing. */
export declare const LINGER = 10000;
/** A link is given up after so long without a frame, in milliseconds; the server beats every 25 s. */
export declare const SILENCE = 60000;
/**
 * A way that brings no first frame for so long does not work here, in milliseconds; one that still
 * brings frames after that is a good one, and the next pause a short one again.
 */
export declare const DEAF = 10000;
/** How often a link is looked at, in milliseconds: is it silent, does anybody want it? */
export declare const LOOK = 5000;
/** How long to stay away from an instance that is full (close code 1013), in milliseconds. */
export declare const FULL = 15000;
/**
 * How long the server may answer that its store is away before a press is taken back, in
 * milliseconds: longer than a failover or a rolling restart, shorter than a visitor looks at a heart.
 */
export declare const OUTAGE = 4000;
/**
 * Over how long the pages that show a number are spread, in milliseconds, when each asks whether its
 * visitor's contribution is still there: ten times as long where most likely it is.
 */
export declare const DOUBT = 3000;
