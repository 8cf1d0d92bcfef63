import { TallyElement } from './element.js';
/** `<tally-count>`: a topic's number, inline. Until it is known the element's own text shows. */
export declare class Count extends TallyElement {
    #private;
    static styles: string;
    constructor();
    /** @param {import('./topic.js').Reason} [reason] */
    render(reason?: import('./topic.js').Reason): void;
}
