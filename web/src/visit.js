import { assert } from './assert.js';
import { isSet } from './dom.js';
import { shared } from './site.js';
import { entryName, loadEntry, saveTopic } from './storage.js';

/** Pauses between attempts double from here, in milliseconds. */
const PAUSE = 5000;

/** Attempts to count a visit, in less than three minutes. After that the visit is not counted. */
const ATTEMPTS = 6;

/** User agents of bots. Cubot makes telephones. */
const BOT = /(?<!cu)bot|crawl|spider|slurp|headless|lighthouse|preview/i;

/** Hosts on which sites are developed. */
const LOCAL = /^(localhost|127\..*|\[::1\]|)$|\.(localhost|local|test)$/;

/** Whether the console says already why visitors are not counted. */
let explained = false;

/** Whether consent(true) was called last. */
let consented = false;

/** @type {Map<string, boolean>} topics for which this page counts its visitor, and whether the service answered */
const visits = new Map();

/**
 * Stores that the visitor was counted by a derived id, so that it is not counted again by the stored one.
 * @param {string} name of the topic
 */
const saveVisit = (name) => visits.get(name) && saveTopic(entryName(shared.client.api), name, 1, undefined);

/**
 * Says whether the visitor agrees to a stored id, which counts the visitor once for good. Without it the service
 * derives an id for a day, and nothing is stored.
 * @param {boolean} given
 */
export const consent = (given) => {
  consented = given;
  if (given) [...visits.keys()].forEach(saveVisit);
};

/**
 * Reports whether this browser may be counted: it has no privacy signal, is no bot, and does not show the site on its
 * author's machine.
 * @param {HTMLElement} element whose attribute `local` allows the latter
 */
export function isCountable(element) {
  const { globalPrivacyControl, doNotTrack, userAgent } = /** @type {any} */ (navigator);
  const local = LOCAL.test(location.hostname);
  let reason;
  if (globalPrivacyControl || doNotTrack === '1') reason = 'this browser asks not to be tracked';
  else if (!isSet(element, 'local')) {
    if (local) reason = `${location.hostname || 'a file'} is a development address. To count here, write <${element.localName} local>`;
    else if (BOT.test(userAgent)) reason = 'this browser is a bot';
  }
  // The reason why the number stays 0 is for the site's author only.
  if (reason && local && !explained) console.info(`tallycast: ${element.localName} does not count this visit: ${reason}`);
  explained ||= !!reason;
  return !reason;
}

/** Resolves when the page is shown: a prerendered page is not. */
export const activated = () =>
  new Promise((resolve) => {
    const { prerendering } = /** @type {any} */ (document);
    if (prerendering) document.addEventListener('prerenderingchange', resolve, { once: true });
    else resolve(undefined);
  });

/**
 * Counts this visitor, once for a page and topic.
 * @param {import('./topic.js').Topic} topic
 * @param {HTMLElement} element
 */
export async function visit(topic, element) {
  const { name } = topic;
  const mayStore = () => consented || isSet(element, 'consent');
  if (!isCountable(element)) return;
  if (visits.has(name)) return void (mayStore() && saveVisit(name));
  visits.set(name, false);
  await activated();
  if (mayStore() && loadEntry(entryName(shared.client.api)).mine[name] && name.split('/')[1] === 'visitors') return;
  // All attempts name the same visitor: the first may have been counted, and its answer lost.
  const visitor = mayStore() ? saveTopic(entryName(shared.client.api), name, 0, undefined) : undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const answer = await assert(shared.client, name, visitor, 1);
    const { error } = answer;
    if (!error) {
      visits.set(name, true);
      if (mayStore()) saveVisit(name);
      return topic.receive(/** @type {import('./topic.js').State} */ (answer));
    }
    // Another attempt would be refused, too.
    const { message, status = 400, retry_after = 0 } = error;
    if (status && status < 500 && status !== 429 && !retry_after) return console.warn('tallycast:', message);
    await new Promise((resolve) => setTimeout(resolve, retry_after * 1e3 + PAUSE * 2 ** attempt * Math.random()));
  }
  visits.delete(name);
}
