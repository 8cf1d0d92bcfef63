import { Claps } from './claps.js';
import { Count } from './count.js';
import { define, followNavigation, pause } from './element.js';
import { Like } from './like.js';
import { Reactions } from './reactions.js';
import { shared } from './site.js';
import { Top } from './top.js';
import { consent } from './visit.js';
import { Readers, Visitors } from './visitors.js';

/** Where a page keeps whose elements it uses: scripts of several addresses, or versions, may be in it. */
const PLACE = Symbol.for('tallycast');

/**
 * @typedef {object} Set the elements of one script, and what steers them
 * @property {string} service where they find their numbers
 * @property {import('./client.js').Client} client
 * @property {typeof pause} pause
 * @property {typeof consent} consent
 */

/** @type {Set} */
const own = {
  get service() {
    return shared.client.api;
  },
  get client() {
    return shared.client;
  },
  pause,
  consent,
};

/** @type {Record<symbol, Set | undefined>} */
const page = /** @type {any} */ (globalThis);

/** Those of the script that came first: a page has one element of a name. */
export const inUse = () => page[PLACE] ?? own;

/**
 * Registers every element, once the service is configured; on a server nothing. Where another script
 * was first its elements stay, and are what the caller gets.
 */
export function defineAll() {
  if (!globalThis.customElements) return own;
  const first = (page[PLACE] ??= own);
  if (first !== own) {
    const { service } = first;
    if (service !== own.service) console.warn(`tallycast: the elements of this page are those of ${service}; ${own.service} came later and is not used`);
    return first;
  }
  define('tally-like', Like);
  define('tally-count', Count);
  define('tally-claps', Claps);
  define('tally-reactions', Reactions);
  define('tally-visitors', Visitors);
  define('tally-readers', Readers);
  define('tally-top', Top);
  followNavigation();
  return own;
}
