/**
 * The view of `<tally-poll>`.
 * @param {import('./element.js').TallyElement} element
 */
export declare function poll(element: import('./element.js').TallyElement): import("./lazyelement.js").View;
