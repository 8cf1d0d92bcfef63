/**
 * What all elements of a page share. The script sets it by its own URL, a program that bundles
 * the elements by calling configure.
 */
export declare const shared: {
    /** The one client; nothing is opened before an element is near the viewport. */
    client: import('./client.js').Client;
    /** The site of elements that name none. */
    site: string;
};
/**
 * @param {string} api where the service is, with a slash at the end
 * @param {string | null} [site] of elements that name none
 */
export declare function configure(api: string, site?: string | null): void;
