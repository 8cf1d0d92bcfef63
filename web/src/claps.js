import { make, write } from './dom.js';
import { Like } from './like.js';
import { rare } from './rare.js';

/** The most that one visitor contributes where the element says nothing: the contract's rule of claps. */
const MOST = 50;

/** Presses that come closer together than this are sent as one, in milliseconds. */
const PAUSE = 900;

/** A press that lasts for so long claps on by itself, in milliseconds: longer than any tap. */
const HOLD = 350;

/** Time between two claps of a press that lasts, in milliseconds. */
const BEAT = 110;

const HANDS =
  'M8.5 13 5.4 9.9a1.4 1.4 0 0 1 2-2l4.3 4.3M9.6 10 6.9 7.3a1.4 1.4 0 0 1 2-2l5 5M11.3 7.7l-.9-.9a1.4 1.4 0 0 1 2-2' +
  'l5.3 5.3V7.9a1.4 1.4 0 0 1 2.8 0v5.6a7 7 0 0 1-12 5L3.9 13.9a1.4 1.4 0 0 1 2-2l2.6 2.6M15 3.4V1.5M18.6 4.2l1.2-1.6M11.6 3 10.8 1.3';

/**
 * `<tally-claps>`: press and hold, up to 50; what was pressed is sent once, after the pause. The
 * number says how many claps there are, the bubble how many are the visitor's own.
 */
export class Claps extends Like {
  static metric = 'claps';
  static observedAttributes = [...Like.observedAttributes, 'max'];
  static styles =
    Like.styles +
    'button{touch-action:manipulation;-webkit-touch-callout:none;-webkit-user-select:none;user-select:none}.on [part=icon]{color:var(--a)}' +
    '[part=own]{position:absolute;inset:auto 0 calc(100% + .3em);margin-inline:auto;width:max-content;padding:.3em .6em;' +
    'border-radius:2em;font-size:.8em;font-variant-numeric:tabular-nums;color:Canvas;background:var(--a);forced-color-adjust:none;opacity:0;pointer-events:none;transition:opacity .4s .6s}' +
    '[part=own].shown{opacity:1;transition:none}' +
    '@media(prefers-reduced-motion:reduce){[part=own]{transition:none}}';

  called = 'Clap';

  /** The visitor's own total; it is what is announced. */
  #own = make('span', { part: 'own', role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} beats while the button is held */
  #beat;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs until the presses end */
  #fade;
  /** Ends the bubble, and sends what was pressed. */
  #end = () => {};
  /** The click that ends a long press is none. */
  #held = false;
  /** @type {Promise<unknown> | undefined} loads what asks for claps: later the service may be away */
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
      this.#beat = setTimeout(() => this.#clapOn(), HOLD);
    };
    button.onpointerup = button.onpointerleave = button.onpointercancel = () => clearTimeout(this.#beat);
    button.oncontextmenu = (/** @type {Event} */ event) => this.#held && event.preventDefault();
  }

  quit() {
    super.quit();
    clearTimeout(this.#beat);
    clearTimeout(this.#fade);
    this.#end();
  }

  #clapOn() {
    this.#held = true;
    this.press();
    this.#beat = setTimeout(() => this.#clapOn(), BEAT);
  }

  /** One more clap, while there are any left. */
  press() {
    const max = Number(this.getAttribute('max'));
    super.press(Math.min((this.topic?.own ?? 0) + 1, max > 0 ? max : MOST), true);
    const { topic } = this;
    this.#loaded ??= rare().catch(() => {});
    this.#own.classList.add('shown');
    clearTimeout(this.#fade);
    this.#end = () => {
      // Said once, at the end: forty numbers in a row are no help to anybody.
      write(this.#own, { 'aria-busy': 'false' });
      this.#own.classList.remove('shown');
      topic?.flush();
    };
    this.#fade = setTimeout(this.#end, PAUSE);
    write(this.#own, { 'aria-busy': 'true', textContent: '+' + topic?.own });
  }

  /** @param {number | undefined} own */
  mark(own) {
    write(this.button, { className: own ? 'on' : '' });
  }
}
