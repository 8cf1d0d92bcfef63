import { assert } from './assert.js';
import { recall, remember } from './memory.js';
import { shared } from './site.js';

/** Pauses between attempts to count a visit double from here, in milliseconds. */
const PAUSE = 5000;

/** Attempts to count a visit: less than three minutes. A visit that nobody could take is not kept. */
const TRIES = 6;

/** Clients that say of themselves that nobody looks. */
const BOT = /bot|crawl|spider|slurp|headless|lighthouse|preview/i;

/** Where sites are made, and not visited. */
const LOCAL = /^(localhost|127\..*|\[::1\]|)$|\.(localhost|local|test)$/;

/** Whether the console was told that nobody is counted here. */
let told = false;

/** Whether the owner says that the visitor agrees to being recognised. */
let agreed = false;

/** @type {Set<string>} topics for which this page counted its visitor */
const counted = new Set();

/**
 * Says whether the visitor agrees to an id that is kept, by which it is counted once for good.
 * Without it the server derives one that holds for a day, and nothing is stored.
 * @param {boolean} given
 */
export const consent = (given) => {
  agreed = given;
};

/**
 * Tells whether this page may be counted: not for whom asks not to be, nor for programs, nor
 * on the machine on which the site is made.
 * @param {HTMLElement} element whose attribute `local` allows the latter
 */
export function countable(element) {
  const { globalPrivacyControl, doNotTrack, userAgent } = /** @type {any} */ (navigator);
  if (globalPrivacyControl || doNotTrack === '1') return false;
  if (element.hasAttribute('local')) return true;
  if (BOT.test(userAgent)) return false;
  if (!LOCAL.test(location.hostname)) return true;
  if (!told) console.info(`tallycast: ${element.localName} counts nobody on ${location.hostname || 'a file'} unless it has the attribute "local"`);
  told = true;
  return false;
}

/** Resolves when the page is looked at rather than rendered ahead. */
export const activated = () =>
  new Promise((resolve) => {
    const { prerendering } = /** @type {any} */ (document);
    if (prerendering) document.addEventListener('prerenderingchange', resolve, { once: true });
    else resolve(undefined);
  });

/**
 * Counts this visitor, once a page and topic.
 * @param {import('./topic.js').Topic} topic
 * @param {HTMLElement} element
 */
export async function visit(topic, element) {
  const { name } = topic;
  if (counted.has(name) || !countable(element)) return;
  counted.add(name);
  await activated();
  const known = agreed || element.hasAttribute('consent');
  // Counted for good, and remembered: nothing is to be said again.
  if (known && recall().mine[name] && name.split('/')[1] === 'visitors') return;
  for (let tries = 0; tries < TRIES; tries++) {
    const visitor = known ? remember(name, 0, undefined) : undefined;
    const answer = await assert(shared.client.api, name, visitor, 1);
    if (answer.ok) {
      if (known) remember(name, 1, undefined);
      return topic.receive(/** @type {import('./topic.js').State} */ (answer));
    }
    // A refusal will be one again.
    if (answer.status && answer.status < 500 && answer.status !== 429) return console.warn('tallycast:', answer.message);
    await new Promise((resolve) => setTimeout(resolve, answer.retry + PAUSE * 2 ** tries * Math.random()));
  }
  counted.delete(name);
}
