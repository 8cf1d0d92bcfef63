import { LazyElement } from './lazyelement.js';
/**
 * An element of a `choice` metric: each visitor chooses one of its options.
 *
 * Its own attributes: `options`, the names of the options, separated by commas; `count`, the number of each option
 * (`3,0,5`); `withdraw`, the name of the button that takes the choice back; `closed`, results only.
 */
declare class Choice extends LazyElement {
    #private;
    static observedAttributes: string[];
    resolve(): void;
    loadView(): Promise<import("./lazyelement.js").MakeView>;
    /**
     * @param {import('./topic.js').Reason} reason
     * @param {import('./topic.js').Failure} [failure]
     */
    onChange(reason: import('./topic.js').Reason, failure?: import('./topic.js').Failure): void;
    /**
     * @param {string} name
     * @param {object} detail
     */
    emit(name: string, detail: object): void;
}
/**
 * `<tally-poll>`: a question with one answer for each visitor. Its own attributes: `label`, the question;
 * `results="after"`, numbers only after the visitor chose; `send`, the name of the button that sends a choice made by
 * arrow keys; `total`, the name of the number of votes.
 */
export declare class Poll extends Choice {
    static metric: string;
    static observedAttributes: string[];
}
/** `<tally-rating>`: one to five stars, with the average and the number of visitors who rated. */
export declare class Rating extends Choice {
    static metric: string;
    static observedAttributes: string[];
}
/** `<tally-vote>`: up and down, with the difference; with `show="both"` both numbers. */
export declare class Vote extends Choice {
    static metric: string;
    static observedAttributes: string[];
}
export {};
