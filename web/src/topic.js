import { assert } from './assert.js';
import { recall, recallTopic, remember } from './memory.js';
import { OUTAGE } from './patience.js';
import { pauseAfter } from './pause.js';
import { rare } from './rare.js';

/**
 * Why listeners are called: `server`, the number came from there; `visitor`, this page's
 * visitor pressed, or the server has what was pressed; `kept`, no answer came and the press
 * will be sent later; `refused`, it was taken back; `error`, the server does not know such a topic.
 * @typedef {'server' | 'visitor' | 'kept' | 'refused' | 'error'} Reason
 * @typedef {{ count: number, version: number }} State
 * @typedef {{ code?: string, message?: string, retry?: number }} Failure
 * @typedef {(reason: Reason, failure?: Failure) => void} Listener
 * @typedef {(answer: import('./ask.js').Contribution) => void} Confirm
 */

/**
 * @typedef {object} Topic
 * @property {string} name site/metric/key
 * @property {number} own what the visitor sees as its own contribution
 * @property {number | undefined} shown the number to show; undefined while nothing is known
 * @property {Failure | undefined} failure why the server has no such topic
 * @property {Set<Listener>} listeners
 * @property {(count: any) => void} seed takes the number that the page was rendered with, or its
 *   digits; what the server pushes replaces it
 * @property {(frame: State & { error?: Failure, stale?: boolean }) => boolean} receive takes a frame from the server;
 *   true where its visitor's contribution may have gone, and is to be asked for
 * @property {(lost?: boolean) => void} renew says that the connection ended, or a snapshot was asked for: the
 *   next frame is taken whatever its version, since the store may have become older. lost says that it was away
 * @property {() => Confirm | false} ask returns what takes the
 *   server's answer to what the visitor contributes; false where it need not be asked
 * @property {(amount: number, later?: boolean) => void} press the visitor wants to contribute amount;
 *   listeners are called before it returns. Where more is to come, it is sent with the next flush
 * @property {() => void} recall takes up what another tab wrote
 * @property {() => Promise<void>} flush asserts the wish until the server agrees or refuses; where
 *   that is under way, without further pause
 */

/**
 * The state of one topic on this page: the server's newest number, and what its visitor wants.
 *
 * Numbers are absolute and carry versions, so that no frame and no answer is ever added to
 * anything: what is shown is the server's count, plus the difference between what the visitor
 * wants and what the server has of it. At most one write is in flight; presses meanwhile change
 * the wish, and the next write carries the newest. While a wish is open frames are kept, not
 * shown: the answer's version tells whether they already contain it. Versions are compared from
 * one snapshot to the next: the store behind a new connection may be an older one.
 * @param {string} name site/metric/key
 * @param {string} api where the service is, with a slash at the end
 * @returns {Topic}
 */
export function makeTopic(name, api) {
  /** @type {number | undefined} the server's count; undefined while nothing is known */
  let count;
  /** Version of count; below 0 while count did not come from the server. */
  let version = -1;
  /** @type {number} what the server has of this visitor */
  let mine;
  /** @type {number | undefined} what the visitor wants, until the server agrees */
  let wish;
  /** @type {State | undefined} the newest frame that came while a wish was open */
  let held;
  /** Whatever its version, the next frame is taken: the connection is another one. */
  let due = false;
  /** The server may have another contribution than mine. */
  let unsure = !!recall(api).visitor;
  let turn = 0; // of what the server tells of mine: what it was asked for in an earlier one is old
  let busy = false;
  let flying = false;
  let tries = 0; // attempts in a row that did not succeed
  /** @type {(value?: any) => void} ends the pause between two attempts */
  let wake = () => {};

  /** @type {Topic} */
  const topic = {
    name,
    failure: undefined,
    listeners: new Set(),
    get own() {
      return wish ?? mine;
    },
    get shown() {
      return count === undefined ? count : Math.max(0, count + topic.own - mine);
    },
    seed(seeded) {
      // What is no number is nothing: the server's is on its way.
      if (version < 0 && /^\s*\d+\s*$/.test(seeded)) count = +seeded;
    },
    receive(frame) {
      if (frame.error) {
        topic.failure = frame.error;
        tell('error', frame.error);
      } else {
        if (due && !frame.stale) {
          unsure ||= version >= 0 && frame.version !== version;
          due = false;
          held = undefined;
          version = 0;
        } else if (frame.version > version && frame.count < /** @type {number} */ (count)) {
          // What went may be this visitor's. Where a wish is open the answer to it tells.
          unsure ||= wish === undefined;
        }
        if (!held || frame.version > held.version) held = frame;
        release();
      }
      return unsure && mine > 0;
    },
    renew(lost = false) {
      due = true;
      unsure ||= lost;
    },
    // Visitors may have been counted by an id that the server derived: it does not know them by theirs.
    ask: () => unsure && !flying && mine > 0 && !/^[^/]+\/visitors\//.test(name) && asking(),
    press(amount, later) {
      extra = later ? extra + 1 : 0;
      note(amount);
      tell('visitor');
      release();
      if (!later) topic.flush();
    },
    recall() {
      turn++;
      const found = recallTopic(api, name);
      if (flying) wish = found.wish ?? (found.mine === mine ? wish : found.mine);
      else ({ mine, wish } = found);
      release();
    },
    async flush() {
      // Where an attempt is on its way, the pause after it is a short one, too.
      tries = 0;
      wake();
      if (busy) return;
      busy = true;
      let since = 0; // when the attempt was sent that first met a store that is away; 0 without
      let blind = false; // nobody could tell what the server has: the next attempt asserts
      /** @type {number | undefined} the wish that since belongs to */
      let tried;
      while (wish !== undefined) {
        const amount = wish;
        if (amount !== tried) since = 0;
        tried = amount;
        const sent = Date.now();
        const visitor = note(amount);
        const confirm = asking();
        flying = blind || !((unsure || due) && extra);
        /** @type {import('./assert.js').Answer | boolean} */
        const answer = await (flying
          ? assert(api, name, visitor, amount)
          : rare().then(
              ({ ask }) => ask(api, { [name]: confirm }, visitor),
              () => false,
            ));
        flying = false;
        blind = answer === false;
        if (typeof answer === 'boolean') continue;
        const { ok, status } = answer;
        if (ok) {
          unsure = false;
          extra = Math.max(0, /** @type {number} */ (wish) - amount) || 0;
          tries = 0;
          // What was pressed is counted already; what else the number is now, others did. Where a
          // press was taken back, its refusal is what the visitor is to read.
          if (amount !== mine) tell('visitor');
          mine = answer.mine ?? amount;
          if (take(/** @type {State} */ (answer))) due = false;
          note(wish === amount ? undefined : wish);
          release();
          continue;
        }
        const pause = answer.retry + pauseAfter(tries++);
        // A write refused with 5xx may have been applied: then what is shown is asserted instead.
        const away = status >= 500;
        unsure ||= away || !status;
        const open = topic.own !== mine;
        if (away ? open && Date.now() + pause - (since ||= sent) > OUTAGE : status) {
          note(away ? mine : undefined);
          tell('refused', answer);
          release();
        } else if (!status && open) {
          tell('kept');
        }
        // Another wish, or none, does not wait; what was taken back does.
        if (wish === amount || wish === mine) {
          await new Promise((done) => {
            setTimeout((wake = done), pause);
          });
        }
      }
      busy = false;
    },
  };

  /** Returns what takes the server's answer to what it has of this visitor, unless another became due meanwhile. */
  const asking = () => {
    const asked = ++turn;
    /** @type {Confirm} */
    return ({ mine: amount, ...state }) => {
      if (asked !== turn || amount === undefined) return;
      if (amount !== mine) {
        // So much more was pressed; what the server has lost is not given once more.
        if (extra && wish !== undefined) wish = Math.max(amount, Math.min(wish, amount + extra));
        mine = amount;
        note(wish);
      }
      topic.receive(state);
      unsure = false;
    };
  };

  /** Returns whether the state is not older than the one known. */
  const take = (/** @type {State} */ state) => {
    if (state.version < version) return false;
    ({ count, version } = state);
    topic.failure = undefined;
    return true;
  };

  /** Shows what came from the server: what was held, once it can be trusted to hold the visitor's contribution as mine says. */
  const release = () => {
    if (held && !flying && topic.own === mine) {
      take(held);
      held = undefined;
    }
    tell('server');
  };

  /**
   * Notes the wish that is left.
   * @param {number | undefined} left
   */
  const note = (left) => {
    wish = left;
    return remember(api, name, mine, wish);
  };

  /** @type {Listener} */
  const tell = (reason, failure) => topic.listeners.forEach((listener) => listener(reason, failure));

  ({ mine, wish } = recallTopic(api, name));
  /** How often more was pressed than the server knows, where the wish is a sum and not an amount: claps. */
  let extra = wish !== undefined && Math.max(mine, wish) > 1 ? Math.max(1, wish - mine) : 0;
  return topic;
}
