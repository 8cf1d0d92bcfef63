/** The elements, for programs that bundle them: `import { register } from '@tallycast/web/elements'`. */
import { clientOf } from './clients.js';
import { defineAll, inUse } from './elements.js';
import { shared } from './site.js';

/**
 * Registers the elements, once; on a server it does nothing.
 * @param {{ api: string | URL, site?: string }} options api is where the service is, with its
 *   base path; site, of elements that name none
 */
export function register({ api, site }) {
  shared.client = clientOf(api);
  if (site) shared.site = site;
  defineAll();
}

/**
 * Numbers, and orders, stay as they are until the page goes on. The visitor's own presses show.
 * @param {boolean} on
 */
export const pause = (on) => inUse().pause(on);

/**
 * Says whether the visitor agrees to an id that is kept, by which it is counted once for good.
 * @param {boolean} given
 */
export const consent = (given) => inUse().consent(given);
