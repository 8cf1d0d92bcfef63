/** Times of visible changes, in milliseconds. */
/** The shortest time between two visible changes that others cause. */
export declare const CHANGE_INTERVAL = 1000;
/** Delayed numbers change together, at multiples of this: hundreds on a page cost five layouts a second, not sixty. */
export declare const CHANGE_GRID = 200;
/** How long a number rolls. */
export declare const ROLL_DURATION = 180;
/** How long a row moves to its new place. */
export declare const MOVE_DURATION = 350;
/** How long a message stays: enough to read two lines slowly. */
export declare const MESSAGE_DURATION = 10000;
/** Reports whether the visitor asked for reduced motion. */
export declare const reducedMotion: () => boolean;
