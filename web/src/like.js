import { make, still } from './dom.js';
import { TallyElement } from './element.js';

/** How long a message stays, in milliseconds: enough to read two lines slowly. */
const MESSAGE = 10_000;

/** How long the heart's leap takes, in milliseconds. */
const LEAP = 350;

const HEART =
  'M12 20.7C5.4 16 2 12.5 2 8.6 2 5.5 4.4 3.2 7.3 3.2c1.9 0 3.7 1 4.7 2.6 1-1.6 2.8-2.6 4.7-2.6 2.9 0 5.3 2.3 5.3 5.4 0 3.9-3.4 7.4-10 12.100z';

/**
 * `<tally-like>`: a heart and its number. It answers in the frame of the press; what the server
 * says afterwards corrects it silently, and a refusal takes it back and says why.
 *
 * Attributes beside those of all elements, each a text to translate: `label` (the button's
 * name), `kept` (the press waits for a connection), `refused` (instead of the server's reason).
 */
export class Like extends TallyElement {
  static styles =
    'button{all:unset;box-sizing:border-box;display:inline-flex;align-items:center;justify-content:center;' +
    'gap:var(--tally-gap,.4em);padding:var(--tally-padding,.4em .8em);min-block-size:24px;' +
    'color:var(--tally-color,inherit);background:var(--tally-background,transparent);' +
    'border:1px solid var(--tally-border,color-mix(in srgb,currentColor 25%,transparent));' +
    'border-radius:var(--tally-radius,2em);cursor:pointer;user-select:none;touch-action:manipulation;' +
    '-webkit-tap-highlight-color:transparent}' +
    'button:hover{border-color:var(--tally-accent,light-dark(#d81e5b,#ff6b93))}' +
    'button:focus-visible{outline:2px solid var(--tally-accent,light-dark(#d81e5b,#ff6b93));outline-offset:2px}' +
    '[part=icon]{display:inline-flex}' +
    'svg{width:1.2em;height:1.2em;fill:transparent;stroke:currentColor;stroke-width:1.8;overflow:visible}' +
    '[aria-pressed=true] [part=icon]{color:var(--tally-accent,light-dark(#d81e5b,#ff6b93))}' +
    '[aria-pressed=true] svg{fill:currentColor;stroke:currentColor}' +
    '[part=number]{min-inline-size:1.2ch}' +
    '[part=status]{position:absolute;z-index:1;inset-block-start:calc(100% + .5em);inset-inline-start:0;' +
    'inline-size:max-content;max-inline-size:min(20em,80vw);padding:.5em .75em;border-radius:.5em;' +
    'font-size:.875em;line-height:1.4;color:light-dark(#fff,#111);background:light-dark(#222,#eee)}' +
    '[part=status]:empty{display:none}' +
    '@media(forced-colors:active){[aria-pressed=true] [part=icon]{color:Highlight}[part=status]{border:1px solid}}';

  #icon = make(
    'span',
    { part: 'icon', 'aria-hidden': 'true' },
    make('slot', { name: 'icon' }, make('svg', { viewBox: '0 0 24 24' }, make('path', { d: HEART }))),
  );
  #label = make('span', { class: 'sr' });
  #button = make(
    'button',
    { part: 'button', type: 'button', 'aria-describedby': 'exact' },
    this.#icon,
    this.#label,
    this.number,
  );
  #status = make('span', { part: 'status', role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hush;

  constructor() {
    super();
    this.number.ariaHidden = 'true';
    this.#button.onclick = () => this.press();
    this.shadowRoot?.prepend(this.#button, this.#status);
  }

  /** The visitor's press: a like, or its opposite. */
  press() {
    this.resolve(); // the page may have moved on without a word
    this.#say('');
    if (!this.topic) return;
    const liked = !this.topic.own;
    this.topic.press(liked ? 1 : 0);
    this.paint('visitor'); // an element far from the viewport does not listen
    if (liked && !still()) this.#icon.animate({ scale: [1, 0.8, 1.3, 1] }, LEAP);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  hear(reason, failure) {
    super.hear(reason, failure);
    if (reason === 'kept') {
      this.#say(this.getAttribute('kept') ?? 'No connection. Your press is kept and will be sent.');
    } else if (reason === 'refused') {
      this.#say(this.getAttribute('refused') ?? `Not saved: ${failure?.message || 'the service did not answer.'}`);
    }
  }

  /** @param {import('./topic.js').Reason} [source] */
  paint(source) {
    super.paint(source);
    const usable = this.topic && !this.topic.failure;
    this.#button.hidden = !usable;
    this.fallback.hidden = !!usable;
    const pressed = String(!!this.topic?.own);
    if (this.#button.ariaPressed !== pressed) this.#button.ariaPressed = pressed;
    const label = this.getAttribute('label') ?? 'Like';
    if (this.#label.textContent !== label) this.#label.textContent = label;
  }

  /** @param {string} text */
  #say(text) {
    clearTimeout(this.#hush);
    if (this.#status.textContent !== text) this.#status.textContent = text;
    if (text) this.#hush = setTimeout(() => this.#say(''), MESSAGE);
  }
}
