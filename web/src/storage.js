/**
 * The browser's entry about its visitor: one in localStorage for each service, written on a press and never before. If
 * the browser refuses storage, the entry lasts as long as the page.
 */

/** The entry that all services shared in former releases. Each service starts from a copy of it. */
const SHARED = 'tallycast:v1';

/**
 * Returns the name of a service's entry. The number in it changes with the entry's format.
 * @param {string} api the service's URL
 */
export const entryName = (api) => `${SHARED}:${api}`;

/** How long an assertion that could not be sent is kept, in milliseconds: 7 days. */
const RETENTION = 6048e5;

/**
 * @typedef {object} Entry
 * @property {string} [visitor] the visitor's id: up to 54 characters of [0-9-]
 * @property {Record<string, number | undefined>} mine topic → the confirmed contribution, if not 0
 * @property {Record<string, [amount: number, at: number, choice?: boolean] | undefined>} wish topic → an assertion that the
 *   service has not answered yet, its time (milliseconds since the epoch), and whether it is an option
 */

/** Entries that localStorage refused, by name, as JSON. */
const unsaved = /** @type {Record<string, string | undefined>} */ ({});

/**
 * @param {string} name of an entry
 * @returns {Entry}
 */
export function loadEntry(name) {
  let entry;
  try {
    entry = JSON.parse(unsaved[name] ?? localStorage.getItem(name) ?? /** @type {string} */ (localStorage.getItem(SHARED)));
  } catch {
    // Storage is refused, or the entry is not JSON: start with an empty one.
  }
  return { mine: {}, wish: {}, ...entry };
}

/**
 * Returns the visitor's confirmed contribution to a topic, and the amount that is still to be sent, if any.
 * @param {string} name of an entry
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined, choice: boolean }}
 */
export function loadTopic(name, topic) {
  const { mine, wish } = loadEntry(name);
  const [amount, at, choice = false] = wish[topic] ?? /** @type {any[]} */ ([]);
  return { mine: mine[topic] ?? 0, wish: Date.now() - at < RETENTION ? amount : undefined, choice };
}

/**
 * Stores the state of a topic. The entry is read again each time, since other tabs write it too.
 * @param {string} name of an entry
 * @param {string} topic
 * @param {number} mine
 * @param {number | undefined} wish
 * @param {boolean} [choice] wish is an option
 * @returns {string} the visitor's id
 */
export function saveTopic(name, topic, mine, wish, choice) {
  const entry = loadEntry(name);
  // 160 random bits. randomUUID would need a secure context.
  entry.visitor ||= crypto.getRandomValues(new Uint32Array(5)).join('-');
  // JSON leaves out what is undefined.
  entry.mine[topic] = mine || undefined;
  if (entry.wish[topic]?.[0] !== wish) entry.wish[topic] = wish === undefined ? wish : [wish, Date.now(), choice];
  unsaved[name] = JSON.stringify(entry);
  try {
    const shared = localStorage.getItem(name) === null && localStorage.getItem(SHARED);
    localStorage.setItem(name, unsaved[name]);
    unsaved[name] = undefined;
    // The first service to write its entry sends the shared pending assertions.
    if (shared) localStorage.setItem(SHARED, JSON.stringify({ ...JSON.parse(shared), wish: {} }));
  } catch {
    // Storage is refused or full, and the copy serves this page; or the shared entry is not JSON.
  }
  return entry.visitor;
}
