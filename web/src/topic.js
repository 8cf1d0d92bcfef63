import { assert } from './assert.js';
import { backoff } from './backoff.js';
import { lazy } from './lazy.js';
import { loadEntry, loadTopic, saveTopic } from './storage.js';

/**
 * Why listeners are called: `server`, the service sent a number; `visitor`, this page's visitor pressed, or the
 * service has the press; `kept`, no answer came, or the store is away, and the press is sent later; `refused`, the
 * press was taken back; `error`, the service does not have the topic.
 * @typedef {'server' | 'visitor' | 'kept' | 'refused' | 'error'} Reason
 * @typedef {{ count: number, version: number, options?: number[] }} State
 * @typedef {{ code?: string, message?: string }} Failure
 * @typedef {(reason: Reason, failure?: Failure) => void} Listener
 * @typedef {(answer: import('./contributions.js').Contribution) => void} Receiver
 */

/**
 * @typedef {object} Topic
 * @property {string} name site/metric/key
 * @property {number} mine the visitor's contribution as shown
 * @property {number | undefined} count the number to show; undefined while it is unknown
 * @property {boolean} choice contributions are options, from 1 on, and not amounts; 0 is none
 * @property {number[] | undefined} options the service's count of each option
 * @property {number} confirmed the contribution that the service has
 * @property {Failure | undefined} failure why the service does not have the topic
 * @property {Set<Listener>} listeners
 * @property {(count: any) => void} seed takes the number, or its digits, that the page was rendered with, until the
 *   service sends one
 * @property {(frame: State & { error?: Failure, stale?: boolean }) => void} receive takes a frame
 * @property {(storeLost?: boolean) => void} expectSnapshot accepts any version in the next frame, since the store
 *   behind a new connection may be an older one. storeLost says that the store was away
 * @property {boolean} uncertain the service may have lost the visitor's contribution
 * @property {() => Receiver} makeReceiver returns a function that takes the visitor's contribution as the service has
 *   it, until something else changes it
 * @property {(amount: number, more?: boolean) => void} contribute sets what the visitor contributes, calls the
 *   listeners, and sends it; with more, the next flush sends it
 * @property {() => void} reload takes over what another tab stored
 * @property {() => Promise<void>} flush asserts the pending amount until the service accepts or refuses it; if that
 *   is already happening, without waiting further
 */

/**
 * Makes the state of one topic on this page: the service's newest number, and what the visitor wants.
 *
 * Numbers are absolute and have versions; nothing is ever added up. The count shown is the service's count, plus
 * the difference between the pending and the confirmed contribution. At most one assertion is in flight; the
 * next one carries the newest amount. Meanwhile frames are held: the version of the answer tells whether they
 * include the assertion.
 * @param {string} name site/metric/key
 * @param {import('./client.js').Client} client
 * @returns {Topic}
 */
export function makeTopic(name, client) {
  /** @type {number | undefined} the service's count */
  let count;
  /** The version of count; below 0 while count did not come from the service. */
  let version = -1;
  /** @type {number} the contribution that the service has */
  let confirmed;
  /** @type {number | undefined} the amount to assert */
  let pending;
  /** @type {State | undefined} the newest frame since an assertion became pending */
  let held;
  /** The next frame is a snapshot, taken whatever its version. */
  let snapshotDue = false;
  /** The service may have another contribution than confirmed. */
  let uncertain = !!loadEntry(client.key).visitor;
  /** Only the receiver made last applies its answer. */
  let receivers = 0;
  let flushing = false;
  let inFlight = false;
  let failures = 0; // attempts in a row that failed
  /** @type {(value?: any) => void} ends the pause between two attempts */
  let endPause = () => {};

  /** @type {Topic} */
  const topic = {
    name,
    choice: false,
    failure: undefined,
    options: undefined,
    listeners: new Set(),
    get mine() {
      return pending ?? confirmed;
    },
    get count() {
      return count === undefined ? count : Math.max(0, count + weigh(topic.mine) - weigh(confirmed));
    },
    get confirmed() {
      return confirmed;
    },
    seed(seeded) {
      if (version < 0 && /^\s*\d+\s*$/.test(seeded)) count = +seeded;
    },
    receive(frame) {
      if (frame.error) {
        topic.failure = frame.error;
        notify('error', frame.error);
      } else {
        if (snapshotDue && !frame.stale) {
          uncertain ||= version >= 0 && frame.version !== version;
          snapshotDue = false;
          held = undefined;
          version = Math.min(version, 0);
        } else if (frame.version > version && frame.count < /** @type {number} */ (count)) {
          // The visitor's own contribution may be gone. The answer to a pending assertion tells.
          uncertain ||= pending === undefined;
        }
        if (!held || frame.version > held.version) held = frame;
        release();
      }
    },
    expectSnapshot(storeLost = false) {
      snapshotDue = true;
      uncertain ||= storeLost;
    },
    get uncertain() {
      return uncertain && !inFlight && confirmed > 0;
    },
    makeReceiver() {
      const id = ++receivers;
      return ({ mine, ...state }) => {
        if (id !== receivers || mine === undefined) return;
        if (mine !== confirmed) {
          const added = addition();
          confirmed = mine;
          // Keep what was added since; do not add again what the service lost.
          setPending(added ? Math.max(mine, Math.min(/** @type {number} */ (pending), mine + added)) : pending);
        }
        topic.receive(state);
        uncertain = false;
      };
    },
    contribute(amount, more) {
      setPending(amount);
      notify('visitor');
      release();
      if (!more) topic.flush();
    },
    reload() {
      receivers++;
      const { mine, wish } = loadTopic(client.key, name);
      if (inFlight) pending = wish ?? (mine === confirmed ? pending : mine);
      else [confirmed, pending] = [mine, wish];
      release();
    },
    async flush() {
      failures = 0;
      endPause();
      if (flushing) return;
      flushing = true;
      let assertBlindly = false; // the service could not say what it has
      while (pending !== undefined) {
        const amount = pending;
        const visitor = setPending(amount);
        receivers++;
        inFlight = assertBlindly || !((uncertain || snapshotDue) && addition());
        /** @type {import('./assert.js').Answer | boolean | void} */
        const answer = await (inFlight
          ? assert(client, name, visitor, amount, topic.choice)
          : lazy().then((script) => script.fetchContributions(client, [topic], visitor), () => {}));
        inFlight = false;
        assertBlindly = !answer;
        if (!answer || answer === true) continue;
        const { error } = answer;
        if (!error) {
          uncertain = false;
          failures = 0;
          if (amount !== confirmed) notify('visitor');
          confirmed = answer.mine ?? amount;
          if (accept(/** @type {State} */ (answer))) snapshotDue = false;
          setPending(pending === amount ? undefined : pending);
          release();
          continue;
        }
        const { status, retry_after = 0 } = /** @type {{ status: number, retry_after?: number }} */ (error);
        const pause = retry_after * 1e3 + backoff(failures++);
        // The service may have applied an assertion without an answer, or that was answered with 5xx. When it is back, all
        // pages of one address repeat theirs within seconds, and may exceed its limit.
        const away = !status || status >= 500 || (status === 429 && failures > 1);
        uncertain ||= away;
        if (!away) {
          setPending(undefined);
          notify('refused', error);
        } else if (topic.mine !== confirmed) {
          notify('kept');
        }
        release();
        // A new amount is sent at once.
        if (pending === amount || pending === confirmed) {
          await new Promise((done) => {
            setTimeout((endPause = done), pause);
          });
        }
      }
      flushing = false;
    },
  };

  /** Returns what a contribution adds to the count: each option counts once. */
  const weigh = (/** @type {number} */ amount) => (topic.choice ? +!!amount : amount);

  /** Returns, for claps, how many the visitor added that the service does not have: at the maximum at least the last. */
  const addition = () => (!topic.choice && /** @type {number} */ (pending) > 1 ? Math.max(1, /** @type {number} */ (pending) - confirmed) : 0);

  /** Takes over a state unless it is older, and returns whether it did. */
  const accept = (/** @type {State} */ state) => {
    if (state.version < version) return false;
    ({ count, version, options: topic.options } = state);
    topic.failure = undefined;
    return true;
  };

  /**
   * Shows the held frame if it must include the confirmed contribution and no other. A page that has no number from the
   * service shows it after a failed attempt, too: the answer may come much later.
   */
  const release = () => {
    if (held && !inFlight && (topic.mine === confirmed || (version < 0 && failures))) {
      accept(held);
      held = undefined;
    }
    notify('server');
  };

  /**
   * Sets and stores the pending amount, and returns the visitor's id.
   * @param {number | undefined} amount
   */
  const setPending = (amount) => {
    pending = amount;
    return saveTopic(client.key, name, confirmed, pending, topic.choice);
  };

  /** @type {Listener} */
  const notify = (reason, failure) => topic.listeners.forEach((listener) => listener(reason, failure));

  ({ mine: confirmed, wish: pending, choice: topic.choice } = loadTopic(client.key, name));
  return topic;
}
