import { backoff } from './backoff.js';
import { warn } from './dom.js';
import { lazy } from './lazy.js';
import { entryName, loadEntry } from './storage.js';
import { ASSERTION_TIMEOUT, CHECK_INTERVAL, FIRST_FRAME_TIMEOUT, HIDDEN_DELAY, REQUEST_SPREAD, SILENCE_TIMEOUT } from './timeouts.js';
import { makeTopic } from './topic.js';
import { openFallback, openSocket } from './transport.js';

/** @typedef {Record<string, number>} Uses topic → how often it is used, at least 1. No property of objects has a topic's name */

/**
 * Returns the topics of one map that the other does not have.
 * @param {Uses} some
 * @param {Uses} others
 */
const missing = (some, others) => Object.keys(some).filter((name) => !others[name]);

/**
 * @typedef {'live' | 'stale' | 'away'} Status `live`, numbers are current; `stale`, the service lost its store;
 *   `away`, not connected. The event `tally-status` on the document tells of a change
 * @typedef {object} Client one service's topics, over one connection
 * @property {string} api the service's URL, with a slash at the end
 * @property {string} key the key in localStorage of what the browser stores about its visitor
 * @property {Record<string, import('./topic.js').Topic>} topics by name
 * @property {Status} status
 * @property {(name: string) => import('./topic.js').Topic} topic the state of site/metric/key
 * @property {(name: string) => () => void} watch subscribes to a topic until the returned function is called. All
 *   changes in one turn of the event loop are one message
 * @property {(name: string) => () => void} present makes this page a reader of a watched topic until the returned
 *   function is called
 * @property {(message: object) => Promise<import('./assert.js').Answer | void>} assert sends an assertion over the
 *   connection. Without an answer the caller posts it
 * @property {() => Promise<string | undefined>} [token] returns the token of the reader who signed in, if any
 * @property {() => import('./topic.js').Topic[]} uncertain returns the watched topics whose contribution of this visitor
 *   the service may have lost
 */

/**
 * Makes a client. It opens nothing, and touches no DOM, before the first topic is watched.
 * @param {string} api the service's URL, with a slash at the end
 * @returns {Client}
 */
export function connect(api) {
  const topics = /** @type {Record<string, import('./topic.js').Topic>} */ ({});
  const watched = /** @type {Uses} */ ({});
  const present = /** @type {Uses} */ ({});
  /** Both, as the link has them. */
  let sent = [{ ...watched }, { ...present }];
  let syncDue = false;

  /** @type {import('./transport.js').Link | undefined} */
  let link;
  /** The functions that take the answers to assertions over the link, by their ids. */
  let waiting = /** @type {((answer?: any) => void)[]} */ ([]);
  /** The next link is the fallback, because the socket brought no frame. */
  let useFallback = false;
  let failures = 0; // links in a row that ended before FIRST_FRAME_TIMEOUT
  /** @type {boolean | undefined} undefined before the first topic is watched */
  let hidden;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let checkTimer;

  /** @type {Client} */
  const client = {
    api,
    key: entryName(api),
    topics,
    status: 'away',
    topic: (name) => (topics[name] ??= makeTopic(name, client)),
    watch(name) {
      start();
      return use(watched, name);
    },
    present: (name) => use(present, name),
    assert: (message) =>
      new Promise((resolve) => {
        if (!link?.send?.({ ...message, id: waiting.push(resolve) - 1 })) resolve();
        setTimeout(resolve, ASSERTION_TIMEOUT);
      }),
    uncertain: () => Object.keys(watched).map(client.topic).filter(({ uncertain }) => uncertain),
  };

  /**
   * @param {Uses} map
   * @param {string} name
   * @param {number} by
   */
  const use = (map, name, by = 1) => {
    map[name] = (map[name] ?? 0) + by;
    if (!map[name]) delete map[name];
    if (!syncDue) queueMicrotask(sync);
    syncDue = true;
    return () => void use(map, name, -1);
  };

  /** Sends the changes of both to the link. */
  const sync = () => {
    syncDue = false;
    const before = sent;
    sent = [{ ...watched }, { ...present }];
    const change = {
      subscribe: missing(sent[0], before[0]),
      unsubscribe: missing(before[0], sent[0]),
      present: missing(sent[1], before[1]),
      absent: missing(before[1], sent[1]),
    };
    expectSnapshots(change.subscribe);
    if (link && !link.change(change)) return;
    close();
    open();
  };

  /**
   * Reports whether no topic is watched. The next check closes the link: on a single-page site the next
   * elements come soon, and closing a socket while it connects writes a warning to the console.
   */
  const isIdle = () => !Object.keys(watched)[0];

  /** Listens to the page's events, and sends the presses that earlier pages could not send. Later calls do nothing. */
  const start = () => {
    if (hidden !== undefined) return;
    hidden = document.hidden;
    /** @type {ReturnType<typeof setTimeout>} */
    let hideTimer;
    const setVisible = (/** @type {boolean} */ visible) => {
      clearTimeout(hideTimer);
      clearTimeout(retryTimer);
      retryTimer = undefined;
      hidden = !visible;
      useFallback = false;
      failures = 0;
      flush();
      if (hidden) close();
      open();
    };
    const update = () => setVisible(!document.hidden);
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) {
        flush();
        hideTimer = setTimeout(setVisible, HIDDEN_DELAY, false);
      } else update();
    });
    // An open link would keep the page out of the back/forward cache.
    addEventListener('pagehide', () => setVisible(false));
    addEventListener('pageshow', update);
    addEventListener('online', () => {
      close();
      update();
    });
    addEventListener('storage', ({ key }) => {
      // There is no key if everything was cleared.
      if (!key || key === client.key) for (const name in topics) topics[name].reload();
    });
    Object.keys(loadEntry(client.key).wish).forEach(client.topic);
    flush();
  };

  /**
   * Sends the pending assertions of all topics.
   * @param {number} [spread] the longest random delay of each topic, in units of REQUEST_SPREAD
   */
  const flush = (spread) => {
    for (const name in topics) spread ? setTimeout(topics[name].flush, Math.random() * spread * REQUEST_SPREAD) : topics[name].flush();
  };

  /**
   * @param {string[]} names of topics
   * @param {boolean} [storeLost]
   */
  const expectSnapshots = (names, storeLost) => {
    for (const name of names) topics[name]?.expectSnapshot(storeLost);
    return names;
  };

  /**
   * Asks the service, after a random delay, for the contributions that it may have lost. If the script cannot be
   * loaded, the stored contributions hold.
   * @param {number} spread the longest delay, in units of REQUEST_SPREAD
   */
  const confirmLater = (spread) =>
    client.uncertain()[0] && lazy().then((script) => script.confirmLater(client, loadEntry(client.key).visitor, spread), () => {});

  const open = () => {
    if (link || retryTimer || hidden || isIdle()) return;
    const opened = Date.now();
    let lastFrame = opened;
    let silent = true;
    const ended = (/** @type {number} */ wait) => {
      close();
      if (lastFrame - opened > FIRST_FRAME_TIMEOUT) failures = 0;
      // After a silent socket the fallback is tried at once; after any other link the socket is next.
      useFallback = silent && !useFallback;
      retryTimer = setTimeout(
        () => {
          retryTimer = undefined;
          open();
        },
        useFallback ? 0 : wait + backoff(++failures),
      );
    };
    link = (useFallback ? openFallback : openSocket)(
      api,
      () => ({ subscribe: expectSnapshots(Object.keys(watched)), present: Object.keys(present) }),
      (frame) => {
        lastFrame = Date.now();
        const { topic, event, error, id } = frame;
        if (/** @type {number} */ (id) >= 0) {
          // The status that a request would get.
          if (error) error.status = /store|internal/.test(error.code) ? 503 : 400;
          return waiting[/** @type {number} */ (id)]?.(frame);
        }
        if (error && !topic) {
          postInstead();
          return warn(error);
        }
        silent = false;
        if (topic) {
          const state = client.topic(topic);
          state.receive(frame);
          if (state.uncertain && client.status === 'live') confirmLater(frame.count < state.mine ? 1 : 10);
        } else if (/live|stale/.test(/** @type {string} */ (event))) {
          if (event === 'stale') expectSnapshots(Object.keys(watched), true);
          else {
            // All pages learn at the same time that the store is back.
            const spread = client.status === 'stale' ? 1 : 0;
            confirmLater(spread);
            flush(spread);
          }
          setStatus(/** @type {Status} */ (event));
        }
      },
      ended,
    );
    checkTimer = setInterval(() => {
      if (isIdle()) close();
      else if (Date.now() - lastFrame > (silent ? FIRST_FRAME_TIMEOUT : SILENCE_TIMEOUT)) ended(0);
    }, CHECK_INTERVAL);
  };

  /** Ends the wait for answers over the link. */
  const postInstead = () => waiting.forEach((resolve) => resolve());

  const close = () => {
    clearInterval(checkTimer);
    link?.close();
    link = undefined;
    postInstead();
    waiting = [];
    expectSnapshots(Object.keys(watched));
    setStatus('away');
  };

  const setStatus = (/** @type {Status} */ status) => {
    if (status === client.status) return;
    client.status = status;
    document.dispatchEvent(new CustomEvent('tally-status', { detail: status }));
  };

  return client;
}

/** @type {Map<string, Client>} by URL */
const clients = new Map();

/**
 * Returns the one client of a service, which elements, hooks and programs share.
 * @param {string | URL} api the service's URL with its base path
 */
export function clientOf(api) {
  const url = String(api).replace(/\/*$/, '/');
  let client = clients.get(url);
  if (!client) clients.set(url, (client = connect(url)));
  return client;
}
