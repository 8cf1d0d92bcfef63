import { TallyElement } from './element.js';
/**
 * `<tally-reactions>`: a row of emoji, each a toggle metric that the site declares.
 *
 * Its own attributes: `reactions`, the metrics, each with an optional label (`heart=Love it, party`); `count`,
 * numbers by metric (`heart=3,party=1`); `label`, the row's name. The slot with a metric's name takes another emoji.
 */
export declare class Reactions extends TallyElement {
    #private;
    static observedAttributes: string[];
    static styles: string;
    constructor();
    /** Creates, removes and orders a `<tally-like>` for each metric. */
    resolve(): void;
    render(): void;
}
