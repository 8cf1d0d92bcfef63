import { TallyElement } from './element.js';
/**
 * `<tally-top>`: the topics of a metric with the highest counts, their numbers live.
 *
 * Attributes beside those of all elements: `limit`, how many (10); `href`, where a row leads, with
 * `{key}` for the topic's key (`/{key}`); `label`, the list's name. A row is called what a link
 * among the element's own children says whose `data-page`, or whose path, is its key; else by
 * its key. These links are also what shows without a script.
 */
export declare class Top extends TallyElement {
    #private;
    static observedAttributes: string[];
    static styles: string;
    constructor();
    connectedCallback(): void;
    quit(): void;
    /** The list has one topic a row, and these look after themselves. */
    resolve(): void;
    follow(): void;
    paint(): void;
}
