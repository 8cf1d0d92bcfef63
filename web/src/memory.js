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
 * @property {string} visitor the opaque id, 24 of [A-Za-z0-9-]; empty before the first press
 * @property {Record<string, number>} mine topic → what the server has of this visitor, where not 0
 * @property {Record<string, [amount: number, at: number]>} wish topic → an assertion the server has
 *   not answered yet, and when it was made (milliseconds since the epoch)
 */

/** @type {string | null} */
let spare = null;

/** @returns {Entry} */
export function recall() {
  let entry;
  try {
    entry = JSON.parse(localStorage.getItem(ENTRY) ?? spare ?? '{}');
  } catch {
    entry = JSON.parse(spare ?? '{}');
  }
  return { visitor: '', mine: {}, wish: {}, ...entry };
}

/**
 * The visitor's contribution to a topic as the server confirmed it, and the wish
 * that is still to be sent, if there is one.
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined }}
 */
export function recallTopic(topic) {
  const { mine, wish } = recall();
  const [amount, at] = wish[topic] ?? [];
  return { mine: mine[topic] ?? 0, wish: Date.now() - (at ?? 0) < KEEP ? amount : undefined };
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
  entry.visitor ||= newVisitor();
  if (mine) entry.mine[topic] = mine;
  else delete entry.mine[topic];
  if (wish === undefined) delete entry.wish[topic];
  else if (entry.wish[topic]?.[0] !== wish) entry.wish[topic] = [wish, Date.now()];
  spare = JSON.stringify(entry);
  try {
    localStorage.setItem(ENTRY, spare);
  } catch {
    // Refused or full: the copy above serves this page.
  }
  return entry.visitor;
}

/** 18 random bytes; randomUUID would need a secure context. */
function newVisitor() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18)))).replace(/\W/g, '-');
}
