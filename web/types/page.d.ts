/**
 * How the address of a page becomes the key of its topics: the rule of internal/pagekey, whose golden
 * file tests both. An address is a URL of this site, a path with a leading slash, or a path without one.
 */
/**
 * Looks at the path and the canonical link, and decides of which page the link speaks: of the one on
 * which it was written, or of the one that the router was about to show.
 * @param {boolean} [written] whether the router wrote the whole head for this page
 */
export declare function look(written?: boolean): void;
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
