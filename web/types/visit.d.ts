/**
 * Says whether the visitor agrees to an id that is kept, by which it is counted once for good.
 * Without it the server derives one that holds for a day, and nothing is stored.
 * @param {boolean} given
 */
export declare const consent: (given: boolean) => void;
/**
 * Tells whether this page may be counted: not for whom asks not to be, nor for programs, nor
 * on the machine on which the site is made.
 * @param {HTMLElement} element whose attribute `local` allows the latter
 */
export declare function countable(element: HTMLElement): boolean;
/** Resolves when the page is looked at rather than rendered ahead. */
export declare const activated: () => Promise<any>;
/**
 * Counts this visitor, once a page and topic.
 * @param {import('./topic.js').Topic} topic
 * @param {HTMLElement} element
 */
export declare function visit(topic: import('./topic.js').Topic, element: HTMLElement): Promise<void | boolean>;
