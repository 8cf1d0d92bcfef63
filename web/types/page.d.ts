/**
 * How the address of a page becomes the key of its topics: the rule of internal/pagekey, whose golden
 * file tests both. An address is a URL of this site, a path with a leading slash, or a path without one.
 */
/** Notes that the router wrote the whole head for this page, the canonical link even if it is the same. */
export declare const written: () => undefined;
/**
 * For how many milliseconds {@link address} may still change although nobody navigates: the router may not
 * have written the canonical link yet.
 */
export declare const unsettled: () => number;
/** The address of this page: the canonical link, if it speaks of this page, or the location without its query. */
export declare function address(): URL;
/**
 * The key of the page at an address.
 * @param {string | null} page null for this page
 * @returns {string | undefined} undefined if the address has no key, or is a URL of another site
 */
export declare function keyOf(page: string | null): string | undefined;
