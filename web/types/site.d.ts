/** The client and the site that all elements of a page share. */
export declare const shared: {
    client: import('./client.js').Client;
    /** The site of elements that name none. */
    site: string;
};
/**
 * @param {import('./client.js').Client} client
 * @param {string | null} [site] of elements that name none
 */
export declare function configure(client: import('./client.js').Client, site?: string | null): void;
