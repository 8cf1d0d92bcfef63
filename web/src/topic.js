import { assert } from './assert.js';
import { recallTopic, remember } from './memory.js';

/**
 * How long the server may answer that its store is away before a press is taken back, in
 * milliseconds: longer than a failover or a rolling restart, shorter than a visitor looks at a heart.
 */
const PATIENCE = 4000;

/** The longest pause between two attempts to send a kept press, in milliseconds. */
const LONGEST_PAUSE = 30_000;

/**
 * Why listeners are called: `server`, the number came from there; `visitor`, this page's
 * visitor pressed; `kept`, no answer came and the press will be sent later; `refused`, it was
 * taken back; `error`, the server does not know such a topic.
 * @typedef {'server' | 'visitor' | 'kept' | 'refused' | 'error'} Reason
 * @typedef {{ count: number, version: number }} State
 * @typedef {{ code: string, message: string, retry?: number }} Failure
 * @typedef {(reason: Reason, failure?: Failure) => void} Listener
 */

/**
 * The state of one topic on this page: the server's newest number, and what its visitor wants.
 *
 * Numbers are absolute and carry versions, so that no frame and no answer is ever added to
 * anything: what is shown is the server's count, plus the difference between what the visitor
 * wants and what the server has of it. At most one write is in flight; presses meanwhile change
 * the wish, and the next write carries the newest. While a wish is open frames are kept, not
 * shown: the answer's version tells whether they already contain it.
 */
export class Topic {
  /** @type {number | undefined} the server's count; undefined while nothing is known */
  count;
  /** Version of count; below 0 while count did not come from the server's frames. */
  version = -1;
  /** What the server has of this visitor. */
  mine = 0;
  /** @type {number | undefined} what the visitor wants, until the server agrees */
  wish;
  /** @type {Failure | undefined} why the server has no such topic */
  failure;
  /** @type {Set<Listener>} */
  listeners = new Set();

  /** @type {State | undefined} the newest frame that came while a wish was open */
  #held;
  #busy = false;
  #flying = false;
  #wake = () => {};

  /**
   * @param {string} name site/metric/key
   * @param {string} api where the service is, with a slash at the end
   */
  constructor(name, api) {
    this.name = name;
    this.api = api;
    this.recall();
  }

  /** What the visitor sees as its own contribution. */
  get own() {
    return this.wish ?? this.mine;
  }

  /** The number to show; undefined while nothing is known. */
  get shown() {
    return this.count === undefined ? undefined : Math.max(0, this.count + this.own - this.mine);
  }

  /**
   * The number that the page was rendered with; what the server pushes replaces it.
   * @param {number} count
   */
  seed(count) {
    if (this.version < 0) this.count = count;
  }

  /**
   * A frame from the server.
   * @param {State & { error?: Failure }} frame
   */
  receive({ count, version, error }) {
    if (error) {
      this.failure = error;
      this.#tell('error', error);
    } else if (this.#flying || this.own !== this.mine) {
      if (version > (this.#held?.version ?? -1)) this.#held = { count, version };
    } else {
      this.#take({ count, version });
      this.#tell('server');
    }
  }

  /**
   * The visitor wants to contribute amount. Listeners are called before this returns.
   * @param {number} amount
   */
  press(amount) {
    this.wish = amount;
    remember(this.name, this.mine, amount);
    this.#tell('visitor');
    this.flush();
  }

  /** Takes up what another tab wrote, or an earlier visit left; where that is a wish it is sent. */
  recall() {
    const { mine, wish } = recallTopic(this.name);
    if (this.#flying) {
      this.wish = wish ?? (mine === this.mine ? this.wish : mine);
    } else {
      this.mine = mine;
      this.wish = wish;
      this.#unhold();
    }
    this.#tell('server');
  }

  /** Asserts the wish until the server agrees or refuses; where that is under way, without further pause. */
  async flush() {
    this.#wake();
    if (this.#busy) return;
    this.#busy = true;
    let tries = 0;
    let since = 0; // when the attempt was sent that first met a store that is away; 0 without
    /** @type {number | undefined} the wish that since belongs to */
    let tried;
    while (this.wish !== undefined) {
      const amount = this.wish;
      if (amount !== tried) since = 0;
      tried = amount;
      const sent = Date.now();
      this.#flying = true;
      const answer = await assert(this.api, this.name, remember(this.name, this.mine, amount), amount);
      this.#flying = false;
      if (answer.ok) {
        tries = 0;
        this.mine = answer.mine ?? amount;
        this.#take(/** @type {State} */ (answer));
        if (this.wish === amount) this.wish = undefined;
        remember(this.name, this.mine, this.wish);
        this.#unhold();
        this.#tell('visitor');
        continue;
      }
      const pause = answer.retry + Math.random() * Math.min(LONGEST_PAUSE, 500 * 2 ** tries++);
      const failure = { code: answer.code ?? '', message: answer.detail ?? '', retry: answer.retry };
      if (!answer.status) {
        if (this.own !== this.mine) this.#tell('kept');
      } else if (answer.status < 500) {
        this.wish = undefined;
        remember(this.name, this.mine, this.wish);
        this.#unhold();
        this.#tell('refused', failure);
        continue;
      } else if (Date.now() + pause - (since ||= sent) > PATIENCE && this.own !== this.mine) {
        // A lost write may have been applied: what is shown from now on is asserted instead.
        this.wish = this.mine;
        remember(this.name, this.mine, this.wish);
        this.#unhold();
        this.#tell('refused', failure);
      }
      if (this.wish === amount || this.wish === this.mine) await this.#pause(pause);
    }
    this.#busy = false;
  }

  /** @param {number} milliseconds */
  #pause(milliseconds) {
    return new Promise((done) => {
      this.#wake = () => done(0);
      setTimeout(done, milliseconds);
    });
  }

  /** @param {State} state */
  #take({ count, version }) {
    if (version >= this.version) {
      this.count = count;
      this.version = version;
      this.failure = undefined;
    }
  }

  #unhold() {
    if (this.#held && this.own === this.mine) {
      this.#take(this.#held);
      this.#held = undefined;
    }
  }

  /**
   * @param {Reason} reason
   * @param {Failure} [failure]
   */
  #tell(reason, failure) {
    for (const listener of this.listeners) listener(reason, failure);
  }
}
