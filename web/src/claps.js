import { create, update } from './dom.js';
import { lazy } from './lazy.js';
import { Like } from './like.js';

/** The most that one visitor contributes by default: the service's default rule of claps. */
const DEFAULT_MAX = 50;

/** Claps closer together than this are sent as one assertion, in milliseconds. */
const SEND_DELAY = 900;

/** A press that lasts this long repeats, in milliseconds: longer than any tap. */
const HOLD_DELAY = 350;

/** Time between two claps of a held button, in milliseconds. */
const REPEAT_INTERVAL = 110;

const HANDS =
  'M8.5 13 5.4 9.9a1.4 1.4 0 0 1 2-2l4.3 4.3M9.6 10 6.9 7.3a1.4 1.4 0 0 1 2-2l5 5M11.3 7.7l-.9-.9a1.4 1.4 0 0 1 2-2' +
  'l5.3 5.3V7.9a1.4 1.4 0 0 1 2.8 0v5.6a7 7 0 0 1-12 5L3.9 13.9a1.4 1.4 0 0 1 2-2l2.6 2.6M15 3.4V1.5M18.6 4.2l1.2-1.6M11.6 3 10.8 1.3';

/**
 * `<tally-claps>`: press or hold, up to 50 times. A pause sends all claps at once. The number is the topic's
 * count; the bubble shows the visitor's own claps.
 */
export class Claps extends Like {
  static metric = 'claps';
  static observedAttributes = [...Like.observedAttributes, 'max'];
  static styles =
    Like.styles +
    'button{touch-action:manipulation;-webkit-touch-callout:none;-webkit-user-select:none;user-select:none}.on [part=icon]{color:var(--a)}' +
    '[part=own]{position:absolute;inset:auto 0 calc(100% + .3em);margin-inline:auto;width:max-content;padding:.3em .6em;' +
    'border-radius:2em;font-size:.8em;font-variant-numeric:tabular-nums;border:1px solid var(--a);color:CanvasText;background:Canvas;opacity:0;pointer-events:none;transition:opacity .4s .6s}' +
    '[part=own].shown{opacity:1;transition:none}' +
    '@media(prefers-reduced-motion:reduce){[part=own]{transition:none}}';

  defaultLabel = 'Clap';

  /** The visitor's own total, which is announced. */
  #own = create('span', { part: 'own', role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} repeats while the button is held */
  #repeatTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs until the claps are sent */
  #sendTimer;
  /** Sends the claps and hides the bubble. */
  #send = () => {};
  /** The press was held: its click is ignored. */
  #held = false;
  /** @type {Promise<unknown> | undefined} sending claps needs the lazy script, which may not load later */
  #loaded;

  constructor() {
    super();
    const { button } = this;
    this.icon.setAttribute('d', HANDS);
    this.shadowRoot?.append(this.#own);
    button.onclick = () => {
      if (!this.#held) this.press();
      this.#held = false;
    };
    button.onpointerdown = (/** @type {PointerEvent} */ event) => {
      if (event.button) return;
      this.#held = false;
      this.#repeatTimer = setTimeout(() => this.#repeat(), HOLD_DELAY);
    };
    button.onpointerup = button.onpointerleave = button.onpointercancel = () => clearTimeout(this.#repeatTimer);
    button.oncontextmenu = (/** @type {Event} */ event) => this.#held && event.preventDefault();
  }

  release() {
    super.release();
    clearTimeout(this.#repeatTimer);
    clearTimeout(this.#sendTimer);
    this.#send();
  }

  #repeat() {
    this.#held = true;
    this.press();
    this.#repeatTimer = setTimeout(() => this.#repeat(), REPEAT_INTERVAL);
  }

  /** Claps once more, up to the maximum. */
  press() {
    const max = Number(this.getAttribute('max'));
    super.press(Math.min((this.topic?.mine ?? 0) + 1, max > 0 ? max : DEFAULT_MAX), true);
    const { topic } = this;
    this.#loaded ??= lazy().catch(() => {});
    this.#own.classList.add('shown');
    clearTimeout(this.#sendTimer);
    this.#send = () => {
      // Only the final number is announced.
      update(this.#own, { 'aria-busy': 'false' });
      this.#own.classList.remove('shown');
      topic?.flush();
    };
    this.#sendTimer = setTimeout(this.#send, SEND_DELAY);
    update(this.#own, { 'aria-busy': 'true', textContent: '+' + topic?.mine });
  }

  /** @param {number | undefined} mine */
  mark(mine) {
    update(this.button, { className: mine ? 'on' : '' });
  }
}
