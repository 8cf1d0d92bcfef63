export type TallyElement = import('./element.js').TallyElement;
export type Results = {
    /**
     * the count of each shown option
     */
    options: number[];
    /**
     * their sum
     */
    total: number;
    /**
     * the visitor's option, from 1 on; 0 without one
     */
    mine: number;
    /**
     * the numbers are known
     */
    known: boolean;
};
/**
 * Adds the style sheet and the root of a view to an element's shadow tree, and returns the view.
 * @param {TallyElement} element
 * @param {object} parts
 * @param {HTMLElement} parts.root
 * @param {string} parts.css
 * @param {() => number} parts.shown returns how many options the element shows
 * @param {(results: Results) => void} parts.draw writes the results into root
 * @returns {import('./lazyelement.js').View}
 */
export declare function makeView(element: TallyElement, { root, css, shown, draw }: {
    root: HTMLElement;
    css: string;
    shown: () => number;
    draw: (results: Results) => void;
}): import('./lazyelement.js').View;
/**
 * Returns an attribute of an element, or a default.
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} usual
 */
export declare const textOf: (element: HTMLElement, name: string, usual: string) => string;
/**
 * Returns the names of the options.
 * @param {HTMLElement} element
 * @param {string} usual
 */
export declare const namesOf: (element: HTMLElement, usual: string) => string[];
/**
 * Sends a choice, 0 for none, and shows it at once.
 * @param {TallyElement} element
 * @param {number} option
 */
export declare function choose(element: TallyElement, option: number): void;
/**
 * Makes a group of radio buttons that sends a choice by a click, the space bar, Enter or the send button. Arrow keys only
 * move in the group: they must not send (WCAG 3.2.2).
 * @param {TallyElement} element
 * @param {HTMLElement} group
 */
export declare function makeRadios(element: TallyElement, group: HTMLElement): {
    send: any;
    remove: any;
    mark: (mine: number) => void;
};
