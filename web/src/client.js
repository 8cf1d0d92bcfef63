import { ENTRY, recall } from './memory.js';
import { Topic } from './topic.js';
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

/** A way that once worked is left for the next after so many attempts in a row. */
const STUBBORN = 4;

const ways = [socket, stream, poll];

/**
 * What this page knows of one service, over one connection whatever the number of topics.
 * Nothing is opened, and no DOM is touched, before the first topic is watched.
 */
export class Client {
  /** `live`, numbers are current; `stale`, the service lost its store; `away`, not connected. */
  status = 'away';

  /** @type {Map<string, Topic>} */
  #topics = new Map();
  /** @type {Map<string, number>} topic → how many elements want it pushed */
  #watched = new Map();
  /** What the link was asked for. */
  #asked = new Set();

  /** @type {import('./transport.js').Link | undefined} */
  #link;
  #way = 0;
  #worked = false; // this way has brought a frame on this page
  #failed = 0; // attempts in a row that held for less than SETTLED
  #heard = 0; // when the newest frame came, or the link was opened
  #hidden = false;
  #started = false;
  #changing = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #look;

  /** @param {string} api where the service is, with a slash at the end */
  constructor(api) {
    this.api = api;
  }

  /** @param {string} name site/metric/key */
  topic(name) {
    let topic = this.#topics.get(name);
    if (!topic) this.#topics.set(name, (topic = new Topic(name, this.api)));
    return topic;
  }

  /**
   * Has the topic pushed until the function returned is called. What elements do in one turn
   * of the page reaches the service as one message.
   * @param {string} name
   */
  watch(name) {
    this.#start();
    this.#count(name, 1);
    return () => this.#count(name, -1);
  }

  /**
   * @param {string} name
   * @param {number} more
   */
  #count(name, more) {
    const count = (this.#watched.get(name) ?? 0) + more;
    if (count) this.#watched.set(name, count);
    else this.#watched.delete(name);
    if (!this.#changing) queueMicrotask(() => this.#change());
    this.#changing = true;
  }

  #change() {
    this.#changing = false;
    const add = [...this.#watched.keys()].filter((name) => !this.#asked.has(name));
    const drop = [...this.#asked].filter((name) => !this.#watched.has(name));
    if (!this.#watched.size || (this.#link && !this.#link.change(add, drop))) this.#close();
    this.#asked = new Set(this.#watched.keys());
    this.#open();
  }

  /** Listens to what happens to the page; once. */
  #start() {
    if (this.#started) return;
    this.#started = true;
    /** @type {ReturnType<typeof setTimeout>} */
    let linger;
    const see = (/** @type {boolean} */ seen) => {
      clearTimeout(linger);
      this.#hidden = !seen;
      if (seen) this.#again();
      else this.#close();
    };
    this.#hidden = document.hidden;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(linger);
      if (document.hidden) linger = setTimeout(see, LINGER, false);
      else if (this.#hidden) see(true);
    });
    // An open link would keep the page out of the back/forward cache.
    addEventListener('pagehide', () => see(false));
    addEventListener('pageshow', ({ persisted }) => persisted && see(true));
    addEventListener('online', () => {
      this.#close();
      this.#again();
    });
    addEventListener('storage', ({ key }) => {
      if (key === ENTRY) for (const topic of this.#topics.values()) topic.recall();
    });
    for (const name in recall().wish) this.topic(name);
    this.#wish();
  }

  /** Sends what was pressed and never answered. */
  #wish() {
    for (const topic of this.#topics.values()) topic.flush();
  }

  #again() {
    this.#failed = 0;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#wish();
    this.#open();
  }

  #open() {
    if (this.#link || this.#retry || this.#hidden || !this.#asked.size) return;
    const opened = Date.now();
    let deaf = true;
    this.#heard = opened;
    const ended = (/** @type {number} */ wait) => {
      this.#close();
      if (Date.now() - opened > SETTLED && !deaf) this.#failed = 0;
      let next = false;
      if (deaf && (!this.#worked || this.#failed >= STUBBORN)) {
        this.#worked = false;
        this.#way = (this.#way + 1) % ways.length;
        next = this.#way > 0;
      }
      const bound = Math.min(LONGEST, SHORTEST * 2 ** this.#failed++);
      this.#retry = setTimeout(
        () => {
          this.#retry = undefined;
          this.#open();
        },
        next ? 0 : wait + Math.random() * bound,
      );
    };
    try {
      this.#link = ways[this.#way](
        this.api,
        () => [...this.#asked],
        (frame) => {
          this.#heard = Date.now();
          if (frame.error && !frame.topic) return console.warn('tallycast:', frame.error);
          deaf = false;
          this.#worked = true;
          this.#hear(frame);
        },
        ended,
      );
    } catch {
      // Forbidden by the page's policy, say: another way may not be.
      return ended(0);
    }
    this.#look = setInterval(() => {
      if (Date.now() - this.#heard > (deaf ? DEAF : SILENCE)) ended(0);
    }, LOOK);
  }

  #close() {
    clearInterval(this.#look);
    this.#link?.close();
    this.#link = undefined;
    this.#say('away');
  }

  /** @param {import('./transport.js').Frame} frame */
  #hear(frame) {
    if (frame.topic) this.#topics.get(frame.topic)?.receive(frame);
    else if (frame.event === 'stale') this.#say('stale');
    else if (frame.event === 'live') {
      this.#say('live');
      this.#wish();
    }
  }

  /** @param {string} status */
  #say(status) {
    if (status === this.status) return;
    this.status = status;
    document.dispatchEvent(new CustomEvent('tally-status', { detail: status }));
  }
}
