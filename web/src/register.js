/** The elements, for programs that bundle them: `import { register } from '@tallycast/web/elements'`. */
import { clientOf } from './clients.js';
import { defineAll } from './elements.js';
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

export { pause } from './element.js';
export { consent } from './visit.js';
