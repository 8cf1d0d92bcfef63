/** How, and how often, what is seen moves, and how long it stays. */
/** Visible changes that others cause are at least so far apart, in milliseconds. */
export declare const PACE = 1000;
/**
 * Numbers that rested move on together, at the next multiple of this on the clock, in milliseconds:
 * hundreds on a page cost five layouts a second, not sixty.
 */
export declare const BEAT = 200;
/** How long a number takes to roll in, in milliseconds. */
export declare const ROLL = 180;
/** How long a row takes to its new place, in milliseconds. */
export declare const MOVE = 350;
/** How long a message stays, in milliseconds: enough to read two lines slowly. */
export declare const MESSAGE = 10000;
/** Tells whether the visitor asked for little motion. */
export declare const still: () => boolean;
