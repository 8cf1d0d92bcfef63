/**
 * The view of `<tally-rating>`. The filled stars show the average, in halves; a line marks the visitor's own.
 * @param {import('./element.js').TallyElement} element
 */
export declare function rating(element: import('./element.js').TallyElement): import("./lazyelement.js").View;
