/**
 * Registers the elements, once. On a server it does nothing.
 * @param {{ api: string | URL, site?: string }} options api is the service's URL with its base path; site is for
 *   elements that name none
 */
export declare function register({ api, site }: {
    api: string | URL;
    site?: string;
}): void;
/**
 * Pauses all numbers and lists of the page, or resumes them. The visitor's own presses still show.
 * @param {boolean} on
 */
export declare const pause: (on: boolean) => void;
/**
 * Says whether the visitor agrees to a stored id, which counts the visitor once for good.
 * @param {boolean} given
 */
export declare const consent: (given: boolean) => void;
/**
 * Says who reads the page: a function that returns the token by which the site's backend signs it, or nothing if nobody is
 * signed in. It is called again shortly before the token expires. null after signing out.
 * @param {import('./signin.js').GetToken | null} getToken
 */
export declare const identify: (getToken: import('./signin.js').GetToken | null) => Promise<void>;
