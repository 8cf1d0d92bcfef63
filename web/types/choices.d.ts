export type View = {
    render: (reason?: import('./topic.js').Reason) => void;
    /**
     * shows a message about the visitor's choice
     */
    notify: (reason: import('./topic.js').Reason) => void;
};
/**
 * @typedef {object} View draws an element of choices into its shadow tree
 * @property {(reason?: import('./topic.js').Reason) => void} render
 * @property {(reason: import('./topic.js').Reason) => void} notify shows a message about the visitor's choice
 */
/** @type {Record<string, (element: import('./element.js').TallyElement) => View>} by the element's name */
export declare const views: Record<string, (element: import('./element.js').TallyElement) => View>;
