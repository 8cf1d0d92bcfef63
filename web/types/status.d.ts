export type TallyElement = import('./element.js').TallyElement;
/** @typedef {import('./element.js').TallyElement} TallyElement */
/**
 * Adds a live region to an element's shadow tree, and returns a function that shows the message for a reason. Its texts
 * can be translated: `kept` (the press waits for a connection, or for the store) and `refused` (it was taken back).
 * @param {TallyElement} element
 * @returns {(reason: import('./topic.js').Reason) => void}
 */
export declare function makeStatus(element: TallyElement): (reason: import('./topic.js').Reason) => void;
