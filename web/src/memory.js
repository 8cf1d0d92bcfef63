/**
 * What the browser remembers of its visitor: one entry of localStorage, written
 * on a press and never before. Where storage is refused it lives as long as the page.
 */

/** The entry's name; its number changes when its form does. */
export const ENTRY = 'tallycast:v1';

/** How long a press that could not be sent is kept, in milliseconds: 7 days. */
const KEEP = 6048e5;

/**
 * @typedef {object} Entry
 * @property {string} [visitor] the opaque id, up to 54 of [0-9-]; none before the first press
 * @property {Record<string, number | undefined>} mine topic → what the server has of this visitor, where not 0
 * @property {Record<string, [amount: number, at: number] | undefined>} wish topic → an assertion the server has
 *   not answered yet, and when it was made (milliseconds since the epoch)
 */

/** @type {string | undefined} the entry as this page wrote it last, where storage did not take it */
let spare;

/** @returns {Entry} */
export function recall() {
  let entry;
  try {
    entry = JSON.parse(spare ?? /** @type {string} */ (localStorage.getItem(ENTRY)));
  } catch {
    // Refused, or spoiled by somebody else: as if there were none.
  }
  return { mine: {}, wish: {}, ...entry };
}

/**
 * The visitor's contribution to a topic as the server confirmed it, and the wish
 * that is still to be sent, if there is one.
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined }}
 */
export function recallTopic(topic) {
  const { mine, wish } = recall();
  const [amount, at] = wish[topic] ?? /** @type {any[]} */ ([]);
  return { mine: mine[topic] ?? 0, wish: Date.now() - at < KEEP ? amount : undefined };
}

/**
 * Notes the state of a topic. The entry is read anew each time, since other tabs write it too.
 * @param {string} topic
 * @param {number} mine
 * @param {number | undefined} wish
 * @returns {string} the visitor's id
 */
export function remember(topic, mine, wish) {
  const entry = recall();
  // 160 random bits; randomUUID would need a secure context.
  entry.visitor ||= crypto.getRandomValues(new Uint32Array(5)).join('-');
  // What is 0 or undefined is left out of the entry.
  entry.mine[topic] = mine || undefined;
  if (entry.wish[topic]?.[0] !== wish) entry.wish[topic] = wish === undefined ? wish : [wish, Date.now()];
  spare = JSON.stringify(entry);
  try {
    localStorage.setItem(ENTRY, spare);
    spare = undefined;
  } catch {
    // Refused or full: the copy serves this page.
  }
  return entry.visitor;
}
