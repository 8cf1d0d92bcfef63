import { LazyElement } from './lazyelement.js';
/**
 * `<tally-trend>`: a line of a topic's counts, whose last point is live. Its own attributes: `days`, how long the line is
 * (30); `label`, its name.
 */
export declare class Trend extends LazyElement {
    static styles: string;
    static observedAttributes: string[];
    /** @type {{ topic?: import('./topic.js').Topic, count?: number }} the number on screen, from the last event */
    shown: {
        topic?: import('./topic.js').Topic;
        count?: number;
    };
    loadView(): Promise<import("./lazyelement.js").MakeView>;
    /**
     * @param {string} name
     * @param {{ count?: number }} detail
     */
    emit(name: string, detail: {
        count?: number;
    }): void;
}
