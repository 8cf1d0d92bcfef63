import { ENTRY, recall } from './memory.js';
import { makeTopic } from './topic.js';
import { poll, socket, stream } from './transport.js';

/** How long a hidden page stays connected, in milliseconds: a glance at another tab costs nothing. */
const LINGER = 10_000;

/** A link is given up after so long without a frame, in milliseconds; the server beats every 25 s. */
const SILENCE = 60_000;

/** A way that brings no first frame for so long does not work here, in milliseconds. */
const DEAF = 10_000;

/** How often silence is looked for, in milliseconds. */
const LOOK = 5000;

/** A link that held for so long was a good one: the next pause is a short one again, in milliseconds. */
const SETTLED = 10_000;

/** Pauses between attempts are random up to a bound that doubles from the first of these to the second, in milliseconds. */
const [SHORTEST, LONGEST] = [1000, 30_000];

const ways = [socket, stream, poll];

/**
 * @typedef {'live' | 'stale' | 'away'} Status `live`, numbers are current; `stale`, the service
 *   lost its store; `away`, not connected. A change is told by `tally-status` on the document
 * @typedef {object} Client what this page knows of one service, over one connection
 * @property {Status} status
 * @property {(name: string) => import('./topic.js').Topic} topic the state of site/metric/key
 * @property {(name: string) => () => void} watch has the topic pushed until the function returned
 *   is called. What is watched and left in one turn of the page reaches the service as one message
 */

/**
 * Nothing is opened, and no DOM is touched, before the first topic is watched.
 * @param {string} api where the service is, with a slash at the end
 * @returns {Client}
 */
export function connect(api) {
  /** @type {Map<string, import('./topic.js').Topic>} */
  const topics = new Map();
  /** @type {Map<string, number>} topic → how many elements want it pushed */
  const watched = new Map();
  /** @type {Set<string>} what the link was asked for */
  let asked = new Set();

  /** @type {import('./transport.js').Link | undefined} */
  let link;
  let way = 0;
  let failed = 0; // attempts in a row that held for less than SETTLED
  let hidden = false;
  let started = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let look;

  /** @type {Client} */
  const client = {
    status: 'away',
    topic(name) {
      let topic = topics.get(name);
      if (!topic) topics.set(name, (topic = makeTopic(name, api)));
      return topic;
    },
    watch(name) {
      start();
      want(name, 1);
      return () => want(name, -1);
    },
  };

  /**
   * @param {string} name
   * @param {number} more
   */
  const want = (name, more) => {
    const count = (watched.get(name) ?? 0) + more;
    if (count) watched.set(name, count);
    else watched.delete(name);
    queueMicrotask(change); // the first of several finds everything, the others nothing
  };

  const change = () => {
    const before = asked;
    asked = new Set(watched.keys());
    const add = [...asked].filter((name) => !before.has(name));
    const drop = [...before].filter((name) => !asked.has(name));
    if (!asked.size || (link && !link.change(add, drop))) close();
    open();
  };

  /** Listens to what happens to the page; once. */
  const start = () => {
    if (started) return;
    started = true;
    /** @type {ReturnType<typeof setTimeout>} */
    let linger;
    const see = (/** @type {boolean} */ seen) => {
      clearTimeout(linger);
      hidden = !seen;
      if (seen) again();
      else close();
    };
    hidden = document.hidden;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(linger);
      if (document.hidden) linger = setTimeout(see, LINGER, false);
      else if (hidden) see(true);
    });
    // An open link would keep the page out of the back/forward cache.
    addEventListener('pagehide', () => see(false));
    addEventListener('pageshow', ({ persisted }) => persisted && see(true));
    addEventListener('online', () => {
      close();
      again();
    });
    addEventListener('storage', ({ key }) => {
      if (key === ENTRY) topics.forEach((topic) => topic.recall());
    });
    Object.keys(recall().wish).forEach(client.topic);
    flush();
  };

  /** Sends what was pressed and never answered. */
  const flush = () => topics.forEach((topic) => topic.flush());

  const again = () => {
    failed = way = 0;
    clearTimeout(retry);
    retry = undefined;
    flush();
    open();
  };

  const open = () => {
    if (link || retry || hidden || !asked.size) return;
    const opened = Date.now();
    let heard = opened;
    let deaf = true;
    const ended = (/** @type {number} */ wait) => {
      let next = false;
      close();
      if (!deaf && Date.now() - opened > SETTLED) failed = 0;
      // What brought a frame is tried again; else the next way, at once: what is wrong may be the way alone.
      if (deaf) next = (way = (way + 1) % ways.length) > 0;
      const bound = Math.min(LONGEST, SHORTEST * 2 ** failed++);
      retry = setTimeout(
        () => {
          retry = undefined;
          open();
        },
        next ? 0 : wait + Math.random() * bound,
      );
    };
    try {
      link = ways[way](
        api,
        () => [...asked],
        (frame) => {
          heard = Date.now();
          const { topic, event, error } = frame;
          if (error && !topic) return console.warn('tallycast:', error);
          deaf = false;
          if (topic) topics.get(topic)?.receive(frame);
          else if (event === 'live' || event === 'stale') {
            say(event);
            flush();
          }
        },
        ended,
      );
    } catch {
      // Forbidden by the page's policy, say: another way may not be.
      return ended(0);
    }
    look = setInterval(() => Date.now() - heard > (deaf ? DEAF : SILENCE) && ended(0), LOOK);
  };

  const close = () => {
    clearInterval(look);
    link?.close();
    link = undefined;
    say('away');
  };

  const say = (/** @type {Status} */ status) => {
    if (status === client.status) return;
    client.status = status;
    document.dispatchEvent(new CustomEvent('tally-status', { detail: status }));
  };

  return client;
}
