/** Notes that the page may be another one now: then a canonical link that did not change speaks of the one before. */
export declare function leave(): void;
/**
 * The key of an element: what its `page` attribute says; else the canonical link's path and
 * sorted query; else the location's path. Without trailing slash and index.html; the home
 * page is `index`.
 * @param {string | null} page
 * @returns {string | undefined} undefined where that is no valid key
 */
export declare function keyOf(page: string | null): string | undefined;
