import { TallyElement } from './element.js';
export type View = {
    render: (reason?: import('./topic.js').Reason) => void;
    /**
     * ends timers and requests; after it, render may be called again
     */
    release?: () => void;
};
export type MakeView = (element: TallyElement, api: string) => View;
/**
 * @typedef {object} View draws an element into its shadow tree
 * @property {(reason?: import('./topic.js').Reason) => void} render
 * @property {() => void} [release] ends timers and requests; after it, render may be called again
 *
 * @typedef {(element: TallyElement, api: string) => View} MakeView api is the service's URL, with a slash at the end
 */
/**
 * An element whose view is loaded when the element comes near the viewport. In /tally.js it is a second script. Before
 * that, and if it cannot be loaded, the element's own children show.
 */
export declare class LazyElement extends TallyElement {
    #private;
    /**
     * Loads the function that makes the view.
     * @abstract
     * @returns {Promise<MakeView>}
     */
    loadView(): Promise<MakeView>;
    follow(): void;
    /** @param {import('./topic.js').Reason} [reason] */
    render(reason?: import('./topic.js').Reason): void;
    release(): void;
}
