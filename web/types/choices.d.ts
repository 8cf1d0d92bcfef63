export type View = (reason?: import('./topic.js').Reason) => void;
/** @typedef {(reason?: import('./topic.js').Reason) => void} View draws an element of choices into its shadow tree */
/** @type {Record<string, (element: import('./element.js').TallyElement) => View>} by the element's name */
export declare const views: Record<string, (element: import('./element.js').TallyElement) => View>;
