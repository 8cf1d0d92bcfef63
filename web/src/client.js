import { complain } from './dom.js';
import { entryName, recall } from './memory.js';
import { DEAF, DOUBT, LINGER, LOOK, SILENCE } from './patience.js';
import { pauseAfter } from './pause.js';
import { rare } from './rare.js';
import { makeTopic } from './topic.js';
import { rarely, socket } from './transport.js';

/** @typedef {Record<string, number>} Wants topic → by how many it is wanted, at least 1; a topic's name is no property of objects */

/**
 * @param {Wants} some
 * @param {Wants} others
 */
const lacking = (some, others) => Object.keys(some).filter((name) => !others[name]);

/**
 * @typedef {'live' | 'stale' | 'away'} Status `live`, numbers are current; `stale`, the service
 *   lost its store; `away`, not connected. A change is told by `tally-status` on the document
 * @typedef {object} Client what this page knows of one service, over one connection
 * @property {string} api where the service is, with a slash at the end
 * @property {Status} status
 * @property {(name: string) => import('./topic.js').Topic} topic the state of site/metric/key
 * @property {(name: string) => () => void} watch has the topic pushed until the function returned
 *   is called. What is watched and left in one turn of the page reaches the service as one message
 * @property {(name: string) => () => void} present makes this page one of the topic's readers, which
 *   is to be watched too, until the function returned is called
 */

/**
 * Nothing is opened, and no DOM is touched, before the first topic is watched.
 * @param {string} api where the service is, with a slash at the end
 * @returns {Client}
 */
export function connect(api) {
  const topics = /** @type {Record<string, import('./topic.js').Topic>} */ ({});
  /** What is wanted pushed. */
  const watched = /** @type {Wants} */ ({});
  /** Where to be present. */
  const present = /** @type {Wants} */ ({});
  /** What of both the link was asked for. */
  let asked = [{ ...watched }, { ...present }];
  let due = false;

  /** @type {import('./transport.js').Link | undefined} */
  let link;
  /** Whether the best way was tried in vain. */
  let second = false;
  let failed = 0; // attempts in a row that held for less than SETTLED
  /** @type {boolean | undefined} whether nobody looks; undefined before anything was watched */
  let hidden;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let look;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let inquiry;
  let inquires = Infinity; // how long it was to wait; nothing else does

  /** @type {Client} */
  const client = {
    api,
    status: 'away',
    topic: (name) => (topics[name] ??= makeTopic(name, api)),
    watch(name) {
      start();
      return want(watched, name);
    },
    present: (name) => want(present, name),
  };

  /**
   * @param {Wants} map
   * @param {string} name
   * @param {number} more
   */
  const want = (map, name, more = 1) => {
    map[name] = (map[name] ?? 0) + more;
    if (!map[name]) delete map[name];
    if (!due) queueMicrotask(adapt);
    due = true;
    return () => void want(map, name, -1);
  };

  const adapt = () => {
    due = false;
    const before = asked;
    asked = [{ ...watched }, { ...present }];
    const change = {
      subscribe: lacking(asked[0], before[0]),
      unsubscribe: lacking(before[0], asked[0]),
      present: lacking(asked[1], before[1]),
      absent: lacking(before[1], asked[1]),
    };
    renew(change.subscribe);
    if (link?.change(change)) return;
    close();
    open();
  };

  /**
   * Nothing is wanted pushed. The link is let go when it is next looked at: on a site of one page the
   * next elements come soon, and a socket closed while it connects is a warning on the console.
   */
  const idle = () => !Object.keys(watched)[0];

  /** Listens to what happens to the page; once. */
  const start = () => {
    if (hidden !== undefined) return;
    hidden = document.hidden;
    /** @type {ReturnType<typeof setTimeout>} */
    let linger;
    const see = (/** @type {boolean} */ seen) => {
      clearTimeout(linger);
      clearTimeout(retry);
      retry = undefined;
      hidden = !seen;
      second = false;
      failed = 0;
      flush();
      if (hidden) close();
      open();
    };
    const show = () => see(!document.hidden);
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) {
        flush();
        linger = setTimeout(see, LINGER, false);
      } else show();
    });
    // An open link would keep the page out of the back/forward cache.
    addEventListener('pagehide', () => see(false));
    addEventListener('pageshow', show);
    addEventListener('online', () => {
      close();
      show();
    });
    addEventListener('storage', ({ key }) => {
      // None where everything was cleared.
      if (!key || key === entryName(api)) for (const name in topics) topics[name].recall();
    });
    Object.keys(recall(api).wish).forEach(client.topic);
    flush();
  };

  /** Sends what was pressed and never answered. */
  const flush = () => {
    for (const name in topics) topics[name].flush();
  };

  /**
   * Notes that the connection ended, or snapshots are asked for.
   * @param {string[]} names of topics
   * @param {boolean} [lost] the store was away
   */
  const renew = (names, lost) => {
    for (const name of names) topics[name]?.renew(lost);
    return names;
  };

  /**
   * Asks the server for the visitor's contributions that it may have otherwise than is remembered.
   * @param {number} wait in milliseconds
   */
  const inquire = (wait) => {
    if (wait >= inquires) return;
    inquires = wait;
    clearTimeout(inquiry);
    inquiry = setTimeout(() => {
      inquires = Infinity;
      /** @type {Record<string, import('./topic.js').Confirm>} */
      const asked = {};
      for (const name in watched) {
        const confirm = topics[name]?.ask();
        if (confirm) asked[name] = confirm;
      }
      // Where the script that asks cannot be loaded, what is remembered holds.
      if (Object.keys(asked)[0]) rare().then(({ ask }) => ask(api, asked, recall(api).visitor), () => {});
    }, wait);
  };

  const open = () => {
    if (link || retry || hidden || idle()) return;
    const opened = Date.now();
    let heard = opened;
    let deaf = true;
    const ended = (/** @type {number} */ wait) => {
      close();
      if (heard - opened > DEAF) failed = 0;
      // What is wrong may be the way alone: the other one, at once. After one that worked the best is due.
      second = deaf && !second;
      retry = setTimeout(
        () => {
          retry = undefined;
          open();
        },
        second ? 0 : wait + pauseAfter(++failed),
      );
    };
    link = (second ? rarely : socket)(
      api,
      () => ({ subscribe: renew(Object.keys(watched)), present: Object.keys(present) }),
      (frame) => {
        heard = Date.now();
        const { topic, event, error } = frame;
        if (error && !topic) return complain(error);
        deaf = false;
        if (topic) {
          const state = topics[topic];
          if (state?.receive(frame) && client.status === 'live') inquire(Math.random() * (frame.count < state.own ? DOUBT : 10 * DOUBT));
        } else if (/live|stale/.test(/** @type {string} */ (event))) {
          if (event === 'stale') renew(Object.keys(watched), true);
          else inquire(client.status === 'stale' ? Math.random() * DOUBT : 0);
          say(/** @type {Status} */ (event));
          flush();
        }
      },
      ended,
    );
    look = setInterval(() => {
      if (idle()) close();
      else if (Date.now() - heard > (deaf ? DEAF : SILENCE)) ended(0);
    }, LOOK);
  };

  const close = () => {
    clearInterval(look);
    link?.close();
    link = undefined;
    renew(Object.keys(watched));
    say('away');
  };

  const say = (/** @type {Status} */ status) => {
    if (status === client.status) return;
    client.status = status;
    document.dispatchEvent(new CustomEvent('tally-status', { detail: status }));
  };

  return client;
}
