import { make, write } from './dom.js';
import { TallyElement } from './element.js';
import { MESSAGE } from './motion.js';

const HEART = 'M12 21C5 16 2 12 2 8.6c0-6 7-7.5 10-3 3-4.5 10-3 10 3 0 3.4-3 7.4-10 12.4z';

/**
 * `<tally-like>`: a heart and its number. It answers in the frame of the press; what the server
 * says afterwards corrects it silently, and a refusal takes it back and says so: why is for the
 * console and `tally-error`, since it speaks to whoever runs the service.
 *
 * Attributes beside those of all elements, each a text to translate: `label` (the button's
 * name), `kept` (the press waits for a connection), `refused` (it was taken back).
 */
export class Like extends TallyElement {
  static styles =
    TallyElement.styles +
    ':host{vertical-align:middle}' +
    'button{all:unset;display:inline-flex;align-items:center;gap:.4em;' +
    'padding:var(--tally-padding,.4em .8em);background:var(--tally-background,none);border:1px solid var(--tally-border,#888);' +
    'border-radius:var(--tally-radius,2em);cursor:pointer}' +
    'button:hover{border-color:var(--a)}' +
    '@media(prefers-contrast:more){button{border-color:currentColor}[aria-pressed=true]{box-shadow:inset 0 0 0 1px}}' +
    'button:focus-visible{outline:2px solid var(--a)}' +
    '[part=icon]{display:flex}button:active [part=icon]{scale:.8}' +
    'svg{width:1.2em;fill:none;stroke:currentColor;stroke-width:1.8;overflow:visible}' +
    '[aria-pressed=true] [part=icon]{color:var(--a)}' +
    '[aria-pressed=true] svg{fill:currentColor}' +
    '[part=number]{min-width:1.2ch}' +
    '[part=status]{top:100%;bottom:auto}@supports(position-area:top){[part=status]{top:auto;position-area:bottom}}' +
    // WebKit does not count the scroll offset when it keeps the note within the window.
    '@supports(-webkit-hyphens:none){[part=status]{align-self:unsafe start}}';

  /** The button's name where the element gives none. */
  called = 'Like';
  #label = make('span', { class: 'sr' });
  icon = make('path', { d: HEART });
  button = make(
    'button',
    { part: 'button', 'aria-describedby': 'exact' },
    make(
      'span',
      { part: 'icon', 'aria-hidden': 'true' },
      make('slot', { name: 'icon' }, make('svg', { viewBox: '0 0 24 24' }, this.icon)),
    ),
    this.#label,
    this.number,
  );
  #status = make('span', { part: 'status', role: 'status', class: 'note' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hush;

  constructor() {
    super();
    write(this.number, { 'aria-hidden': 'true' });
    this.button.onclick = () => this.press();
    this.shadowRoot?.prepend(this.button, this.#status);
  }

  /**
   * The visitor's press: a like, or its opposite.
   * @param {number} [amount] what it is to contribute then
   * @param {boolean} [later] more is to come
   */
  press(amount, later) {
    this.resolve(); // the page may have moved on without a word
    this.topic?.press(amount ?? (this.topic.own ? 0 : 1), later);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  hear(reason, failure) {
    super.hear(reason, failure);
    // What was said of a press holds until the next one, or until the service has it.
    const said = { kept: 'Offline: sent later', refused: 'Not saved', visitor: '' };
    if (!(reason in said)) return;
    clearTimeout(this.#hush);
    this.#hush = setTimeout(write, MESSAGE, this.#status, { textContent: '' });
    write(this.#status, { textContent: this.getAttribute(reason) ?? said[/** @type {keyof typeof said} */ (reason)] });
  }

  /** @param {import('./topic.js').Reason} [source] */
  paint(source) {
    super.paint(source);
    const { topic, fallback } = this;
    const hidden = !topic || !!topic.failure;
    write(this.button, { hidden });
    this.mark(topic?.own);
    write(fallback, { hidden: !hidden });
    write(this.#label, { textContent: this.getAttribute('label') ?? this.called });
  }

  /** @param {number | undefined} own what the visitor contributes */
  mark(own) {
    write(this.button, { 'aria-pressed': `${!!own}` });
  }
}
