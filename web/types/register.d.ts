/**
 * Registers the elements, once; on a server it does nothing.
 * @param {{ api: string | URL, site?: string }} options api is where the service is, with its
 *   base path; site, of elements that name none
 */
export declare function register({ api, site }: {
    api: string | URL;
    site?: string;
}): void;
/**
 * Numbers, and orders, stay as they are until the page goes on. The visitor's own presses show.
 * @param {boolean} on
 */
export declare const pause: (on: boolean) => void;
/**
 * Says whether the visitor agrees to an id that is kept, by which it is counted once for good.
 * @param {boolean} given
 */
export declare const consent: (given: boolean) => void;
