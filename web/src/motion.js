/** Times of visible changes, in milliseconds. */

/** The shortest time between two visible changes that others cause. */
export const CHANGE_INTERVAL = 1000;

/** Delayed numbers change together, at multiples of this: hundreds on a page cost five layouts a second, not sixty. */
export const CHANGE_GRID = 200;

/** How long a number rolls. */
export const ROLL_DURATION = 180;

/** How long a row moves to its new place. */
export const MOVE_DURATION = 350;

/** How long a message stays: enough to read two lines slowly. */
export const MESSAGE_DURATION = 10_000;

/** @type {MediaQueryList | undefined} made once: it costs as much as all DOM writes of a change */
let query;

/** Reports whether the visitor asked for reduced motion. */
export const reducedMotion = () => (query ??= matchMedia('(prefers-reduced-motion)')).matches;
