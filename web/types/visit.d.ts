/**
 * Says whether the visitor agrees to a stored id, which counts the visitor once for good. Without it the service
 * derives an id for a day, and nothing is stored.
 * @param {boolean} given
 */
export declare const consent: (given: boolean) => void;
/**
 * Reports whether this browser may be counted: it has no privacy signal, is no bot, and does not show the site on its
 * author's machine.
 * @param {HTMLElement} element whose attribute `local` allows the latter
 */
export declare function isCountable(element: HTMLElement): boolean;
/** Resolves when the page is shown: a prerendered page is not. */
export declare const activated: () => Promise<any>;
/**
 * Counts this visitor, once for a page and topic.
 * @param {import('./topic.js').Topic} topic
 * @param {HTMLElement} element
 */
export declare function visit(topic: import('./topic.js').Topic, element: HTMLElement): Promise<void>;
