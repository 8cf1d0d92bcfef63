/**
 * What the browser remembers of its visitor: one entry of localStorage for each service, written
 * on a press and never before. Where storage is refused it lives as long as the page.
 */

/**
 * The name of the entry that all services shared in former releases. It does not say which of them wrote
 * what, so that each service starts from a copy of it.
 */
const SHARED = 'tallycast:v1';

/**
 * The name of a service's entry; its number changes when its form does.
 * @param {string} api where the service is
 */
export const entryName = (api) => `${SHARED}:${api}`;

/** How long a press that could not be sent is kept, in milliseconds: 7 days. */
const KEEP = 6048e5;

/**
 * @typedef {object} Entry
 * @property {string} [visitor] the opaque id, up to 54 of [0-9-]; none before the first press
 * @property {Record<string, number | undefined>} mine topic → what the server has of this visitor, where not 0
 * @property {Record<string, [amount: number, at: number] | undefined>} wish topic → an assertion the server has
 *   not answered yet, and when it was made (milliseconds since the epoch)
 */

/** Entries as this page wrote them last, by name, where storage did not take them. */
const spare = /** @type {Record<string, string | undefined>} */ ({});

/**
 * @param {string} api where the service is
 * @returns {Entry}
 */
export function recall(api) {
  const name = entryName(api);
  let entry;
  try {
    entry = JSON.parse(spare[name] ?? localStorage.getItem(name) ?? /** @type {string} */ (localStorage.getItem(SHARED)));
  } catch {
    // Refused, or spoiled by somebody else: as if there were none.
  }
  return { mine: {}, wish: {}, ...entry };
}

/**
 * The visitor's contribution to a topic as the server confirmed it, and the wish
 * that is still to be sent, if there is one.
 * @param {string} api where the service is
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined }}
 */
export function recallTopic(api, topic) {
  const { mine, wish } = recall(api);
  const [amount, at] = wish[topic] ?? /** @type {any[]} */ ([]);
  return { mine: mine[topic] ?? 0, wish: Date.now() - at < KEEP ? amount : undefined };
}

/**
 * Notes the state of a topic. The entry is read anew each time, since other tabs write it too.
 * @param {string} api where the service is
 * @param {string} topic
 * @param {number} mine
 * @param {number | undefined} wish
 * @returns {string} the visitor's id
 */
export function remember(api, topic, mine, wish) {
  const name = entryName(api);
  const entry = recall(api);
  // 160 random bits; randomUUID would need a secure context.
  entry.visitor ||= crypto.getRandomValues(new Uint32Array(5)).join('-');
  // What is 0 or undefined is left out of the entry.
  entry.mine[topic] = mine || undefined;
  if (entry.wish[topic]?.[0] !== wish) entry.wish[topic] = wish === undefined ? wish : [wish, Date.now()];
  spare[name] = JSON.stringify(entry);
  try {
    const shared = localStorage.getItem(name) === null && localStorage.getItem(SHARED);
    localStorage.setItem(name, spare[name]);
    spare[name] = undefined;
    // What was not sent yet is sent to one service, not to each.
    if (shared) localStorage.setItem(SHARED, JSON.stringify({ ...JSON.parse(shared), wish: {} }));
  } catch {
    // Refused or full: the copy serves this page. Or the shared entry is spoiled.
  }
  return entry.visitor;
}
