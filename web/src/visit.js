import { assert } from './assert.js';
import { recall, remember } from './memory.js';
import { shared } from './site.js';

/** Pauses between attempts to count a visit double from here, in milliseconds. */
const PAUSE = 5000;

/** Attempts to count a visit: less than three minutes. A visit that nobody could take is not kept. */
const TRIES = 6;

/** Clients that say of themselves that nobody looks; Cubot makes telephones. */
const BOT = /(?<!cu)bot|crawl|spider|slurp|headless|lighthouse|preview/i;

/** Where sites are made, and not visited. */
const LOCAL = /^(localhost|127\..*|\[::1\]|)$|\.(localhost|local|test)$/;

/** Whether the console was told that nobody is counted here. */
let told = false;

/** Whether the owner says that the visitor agrees to being recognised. */
let agreed = false;

/** @type {Map<string, boolean>} topics for which this page counts its visitor, and whether the service has it */
const counted = new Map();

/**
 * Notes that the visitor was counted, for good. One that was counted by the server's derived id is
 * not counted again by its own.
 * @param {string} name of the topic
 */
const keep = (name) => counted.get(name) && remember(shared.client.api, name, 1, undefined);

/**
 * Says whether the visitor agrees to an id that is kept, by which it is counted once for good.
 * Without it the server derives one that holds for a day, and nothing is stored.
 * @param {boolean} given
 */
export const consent = (given) => {
  agreed = given;
  if (given) [...counted.keys()].forEach(keep);
};

/**
 * Tells whether an element has an attribute that stands for itself; frameworks write `false` for one that it has not.
 * @param {HTMLElement} element
 * @param {string} name
 */
const has = (element, name) => (element.getAttribute(name) ?? 'false') !== 'false';

/**
 * Tells whether this page may be counted: not for whom asks not to be, nor for programs, nor
 * on the machine on which the site is made.
 * @param {HTMLElement} element whose attribute `local` allows the latter
 */
export function countable(element) {
  const { globalPrivacyControl, doNotTrack, userAgent } = /** @type {any} */ (navigator);
  const local = LOCAL.test(location.hostname);
  let reason;
  if (globalPrivacyControl || doNotTrack === '1') reason = 'this browser asks not to be tracked';
  else if (!has(element, 'local')) {
    if (local) reason = `${location.hostname || 'a file'} is where a site is made. To count here, write <${element.localName} local>`;
    else if (BOT.test(userAgent)) reason = 'this browser is a program';
  }
  // Whoever makes the site is told why the number stays 0; its visitors are not.
  if (reason && local && !told) console.info(`tallycast: ${element.localName} counts nobody: ${reason}`);
  told ||= !!reason;
  return !reason;
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
  const known = () => agreed || has(element, 'consent');
  if (!countable(element)) return;
  if (counted.has(name)) return void (known() && keep(name));
  counted.set(name, false);
  await activated();
  // Counted for good, and remembered: nothing is to be said again.
  if (known() && recall(shared.client.api).mine[name] && name.split('/')[1] === 'visitors') return;
  // All attempts are the same visitor's: the first may have been counted, and its answer lost.
  const visitor = known() ? remember(shared.client.api, name, 0, undefined) : undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await assert(shared.client.api, name, visitor, 1);
    if (answer.ok) {
      counted.set(name, true);
      // There may be consent by now.
      if (known()) keep(name);
      return topic.receive(/** @type {import('./topic.js').State} */ (answer));
    }
    // A refusal will be one again.
    if (answer.status && answer.status < 500 && answer.status !== 429) return console.warn('tallycast:', answer.message);
    await new Promise((resolve) => setTimeout(resolve, answer.retry + PAUSE * 2 ** tries * Math.random()));
  }
  counted.delete(name);
}
