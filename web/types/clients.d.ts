/**
 * The one client of a service: elements, hooks and a program's own code share its connection.
 * @param {string | URL} api where the service is, with its base path
 */
export declare function clientOf(api: string | URL): import("./client.js").Client;
