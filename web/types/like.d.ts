import { TallyElement } from './element.js';
/**
 * `<tally-like>`: a heart and its number. A press shows in the next frame. The service's answer corrects the
 * number silently; a refusal takes the press back and says so. The reason goes to the console and `tally-error`,
 * for the site's author.
 *
 * Its own attributes are texts to translate: `label`, the button's name, and the messages.
 */
export declare class Like extends TallyElement {
    #private;
    static styles: string;
    defaultLabel: string;
    icon: any;
    button: any;
    constructor();
    /**
     * Likes, or takes the like back.
     * @param {number} [amount] what the visitor contributes then
     * @param {boolean} [more] another press may follow
     */
    press(amount?: number, more?: boolean): void;
    /**
     * @param {import('./topic.js').Reason} reason
     * @param {import('./topic.js').Failure} [failure]
     */
    onChange(reason: import('./topic.js').Reason, failure?: import('./topic.js').Failure): void;
    /** @param {import('./topic.js').Reason} [reason] */
    render(reason?: import('./topic.js').Reason): void;
    /**
     * Shows whether the visitor pressed.
     * @param {number | undefined} mine
     */
    mark(mine: number | undefined): void;
}
