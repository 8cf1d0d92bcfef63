/**
 * The view of `<tally-vote>`: two switches. Pressing a pressed one takes the vote back.
 * @param {import('./element.js').TallyElement} element
 */
export declare function vote(element: import('./element.js').TallyElement): import("./lazyelement.js").View;
