import { Like } from './like.js';
/**
 * `<tally-claps>`: press and hold, up to 50; what was pressed is sent once, after the pause. The
 * number says how many claps there are, the bubble how many are the visitor's own.
 */
export declare class Claps extends Like {
    #private;
    static metric: string;
    static observedAttributes: string[];
    static styles: string;
    called: string;
    constructor();
    quit(): void;
    /** One more clap, while there are any left. */
    press(): void;
    /** @param {number | undefined} own */
    mark(own: number | undefined): void;
}
