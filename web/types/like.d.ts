import { TallyElement } from './element.js';
/**
 * `<tally-like>`: a heart and its number. It answers in the frame of the press; what the server
 * says afterwards corrects it silently, and a refusal takes it back and says so: why is for the
 * console and `tally-error`, since it speaks to whoever runs the service.
 *
 * Attributes beside those of all elements, each a text to translate: `label` (the button's
 * name), `kept` (the press waits for a connection), `refused` (it was taken back).
 */
export declare class Like extends TallyElement {
    #private;
    static styles: string;
    /** The button's name where the element gives none. */
    called: string;
    icon: any;
    button: any;
    constructor();
    /**
     * The visitor's press: a like, or its opposite.
     * @param {number} [amount] what it is to contribute then
     * @param {boolean} [later] more is to come
     */
    press(amount?: number, later?: boolean): void;
    /**
     * @param {import('./topic.js').Reason} reason
     * @param {import('./topic.js').Failure} [failure]
     */
    hear(reason: import('./topic.js').Reason, failure?: import('./topic.js').Failure): void;
    /** @param {import('./topic.js').Reason} [source] */
    paint(source?: import('./topic.js').Reason): void;
    /** @param {number | undefined} own what the visitor contributes */
    mark(own: number | undefined): void;
}
