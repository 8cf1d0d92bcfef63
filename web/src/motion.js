/** How, and how often, what is seen moves, and how long it stays. */

/** Visible changes that others cause are at least so far apart, in milliseconds. */
export const PACE = 1000;

/**
 * Numbers that rested move on together, at the next multiple of this on the clock, in milliseconds:
 * hundreds on a page cost five layouts a second, not sixty.
 */
export const BEAT = 200;

/** How long a number takes to roll in, in milliseconds. */
export const ROLL = 180;

/** How long a row takes to its new place, in milliseconds. */
export const MOVE = 350;

/** How long a message stays, in milliseconds: enough to read two lines slowly. */
export const MESSAGE = 10_000;

/** @type {MediaQueryList | undefined} asked once: making one takes as long as all of a change's own writes */
let motion;

/** Tells whether the visitor asked for little motion. */
export const still = () => (motion ??= matchMedia('(prefers-reduced-motion)')).matches;
