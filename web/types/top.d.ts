import { TallyElement } from './element.js';
export type Entry = {
    topic: string;
    count: number;
    gain?: number;
};
/**
 * `<tally-top>`: the topics of a metric with the highest counts, with live numbers; or those that gained most, with
 * their gains.
 *
 * Its own attributes: `limit`, how many (10); `since`, `24h`, `7d` or `30d` for the gains in this time; `href`, where a
 * row links to, with `{key}` for the topic's key (`/{key}`); `label`, the list's name. A link among the element's own
 * children, whose `data-page` or path is the topic's key, gives the row its title and address; other rows show their
 * key. These links also show without a script.
 */
export declare class Top extends TallyElement {
    #private;
    static observedAttributes: string[];
    static styles: string;
    constructor();
    connectedCallback(): void;
    release(): void;
    /** The list has no topic of its own: its rows have. */
    resolve(): void;
    follow(): void;
    render(): void;
}
