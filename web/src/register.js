/** The elements, for programs that bundle them: `import { register } from '@tallycast/web/elements'`. */
import { clientOf } from './client.js';
import { defineAll, registered } from './elements.js';
import { configure } from './site.js';

/**
 * Registers the elements, once. On a server it does nothing.
 * @param {{ api: string | URL, site?: string }} options api is the service's URL with its base path; site is for
 *   elements that name none
 */
export function register({ api, site }) {
  configure(clientOf(api), site);
  defineAll();
}

/**
 * Pauses all numbers and lists of the page, or resumes them. The visitor's own presses still show.
 * @param {boolean} on
 */
export const pause = (on) => registered().pause(on);

/**
 * Says whether the visitor agrees to a stored id, which counts the visitor once for good.
 * @param {boolean} given
 */
export const consent = (given) => registered().consent(given);

/**
 * Says who reads the page: a function that returns the token by which the site's backend signs it, or nothing if nobody is
 * signed in. It is called again shortly before the token expires. null after signing out.
 * @param {import('./signin.js').GetToken | null} getToken
 */
export const identify = (getToken) => registered().identify(getToken);
