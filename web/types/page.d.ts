/**
 * How the address of a page becomes the key of its topics: the rule of internal/pagekey. One golden file
 * tests both. An address is a URL of this site, a path with a leading slash, or a path without one.
 */
/** Notes that the router wrote the whole head for this page, even if the canonical link is the same. */
export declare const noteNewHead: () => undefined;
/**
 * Returns for how many milliseconds {@link address} may still change without a navigation: the router may
 * not have written the canonical link yet.
 */
export declare const settleDelay: () => number;
/** Returns the address of this page: the canonical link if it belongs to this page, or the location without its query. */
export declare function address(): URL;
/**
 * Returns the key of the page at an address.
 * @param {string | null} page null for this page
 * @param {string[]} [sites] URLs of this site; an address without a host is on the first
 * @returns {string | undefined} undefined if the address has no key, or is on another site
 */
export declare function keyOf(page: string | null, sites?: string[]): string | undefined;
