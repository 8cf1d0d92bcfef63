export type GetToken = () => string | null | undefined | Promise<string | null | undefined>;
export type Client = import('./client.js').Client;
/**
 * Says who reads the page: getToken returns the token that the site's backend signs. It is called at once, and again
 * shortly before the token expires. Without a token the browser's own id counts again.
 * @param {Client} client
 * @param {GetToken | null} [getToken] null if the reader signed out
 */
export declare function identify(client: Client, getToken?: GetToken | null): Promise<void>;
