import { TallyElement } from './element.js';
/**
 * `<tally-reactions>`: a row of emoji, each a toggle metric that the site declares.
 *
 * Attributes beside those of all elements: `reactions`, the metrics by name, each with its label
 * where one is given (`heart=Love it, party`); `count`, numbers by name (`heart=3,party=1`);
 * `label`, the row's name. An emoji of one's own comes through the slot of the metric's name.
 */
export declare class Reactions extends TallyElement {
    #private;
    static observedAttributes: string[];
    static styles: string;
    constructor();
    /** The row has one topic an emoji, and they look after themselves. */
    resolve(): void;
    paint(): void;
}
