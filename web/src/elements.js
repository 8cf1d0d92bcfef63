import { Poll, Rating, Vote } from './choice.js';
import { Claps } from './claps.js';
import { Count } from './count.js';
import { define, followNavigation, pause } from './element.js';
import { signIn } from './lazy.js';
import { Like } from './like.js';
import { Reactions } from './reactions.js';
import { shared } from './site.js';
import { Top } from './top.js';
import { Trend } from './trend.js';
import { consent } from './visit.js';
import { Readers, Visitors } from './visitors.js';

/** The global property with the registered elements. Scripts of other addresses and versions read it, too. */
const REGISTERED = Symbol.for('tallycast');

/**
 * @typedef {object} Elements the elements of one script
 * @property {string} service URL
 * @property {import('./client.js').Client} client
 * @property {typeof pause} pause
 * @property {typeof consent} consent
 * @property {(getToken: import('./signin.js').GetToken | null) => Promise<void>} identify
 */

/** @type {Elements} */
const own = {
  get service() {
    return shared.client.api;
  },
  get client() {
    return shared.client;
  },
  pause,
  consent,
  identify: (getToken) => signIn().then(({ identify }) => identify(shared.client, getToken)),
};

/** @type {Record<symbol, Elements | undefined>} */
const page = /** @type {any} */ (globalThis);

/** Returns the elements that the page uses: those of its first script. */
export const registered = () => page[REGISTERED] ?? own;

/**
 * Registers every element and returns the page's elements, which another script may have registered. On a
 * server it registers nothing. The service must be configured.
 */
export function defineAll() {
  if (!globalThis.customElements) return own;
  const first = page[REGISTERED];
  if (first) {
    const { service } = first;
    if (service !== own.service) console.warn(`tallycast: the elements of this page are those of ${service}; ${own.service} came later and is not used`);
    return first;
  }
  page[REGISTERED] = own;
  define('tally-like', Like);
  define('tally-count', Count);
  define('tally-claps', Claps);
  define('tally-reactions', Reactions);
  define('tally-visitors', Visitors);
  define('tally-readers', Readers);
  define('tally-top', Top);
  define('tally-poll', Poll);
  define('tally-rating', Rating);
  define('tally-vote', Vote);
  define('tally-trend', Trend);
  followNavigation();
  return own;
}
