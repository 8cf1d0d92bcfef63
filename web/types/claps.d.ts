import { Like } from './like.js';
/**
 * `<tally-claps>`: press or hold, up to 50 times. A pause sends all claps at once. The number is the topic's
 * count; the bubble shows the visitor's own claps.
 */
export declare class Claps extends Like {
    #private;
    static metric: string;
    static observedAttributes: string[];
    static styles: string;
    defaultLabel: string;
    constructor();
    release(): void;
    /** Claps once more, up to the maximum. */
    press(): void;
    /** @param {number | undefined} mine */
    mark(mine: number | undefined): void;
}
