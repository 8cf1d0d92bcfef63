import { create, update } from './dom.js';
import { TallyElement } from './element.js';
import { makeStatus } from './status.js';

const HEART = 'M12 21 3 12a5 5 0 1 1 9-6 5 5 0 1 1 9 6z';

/**
 * `<tally-like>`: a heart and its number. A press shows in the next frame. The service's answer corrects the
 * number silently; a refusal takes the press back and says so. The reason goes to the console and `tally-error`,
 * for the site's author.
 *
 * Its own attributes are texts to translate: `label`, the button's name, and the messages.
 */
export class Like extends TallyElement {
  static styles =
    TallyElement.styles +
    ':host{vertical-align:middle}' +
    'button{all:unset;display:inline-flex;align-items:center;gap:.4em;' +
    'padding:var(--tally-padding,.4em .8em);background:var(--tally-background,none);border:1px solid var(--tally-border,#888);' +
    'border-radius:var(--tally-radius,2em);cursor:pointer}' +
    'button:hover{border-color:var(--a)}' +
    '@media(prefers-contrast:more){button{border-color:currentColor}}' +
    'button:focus-visible{outline:2px solid var(--a)}' +
    '[part=icon]{display:flex}' +
    'svg{width:1.2em;fill:none;stroke:currentColor;stroke-width:1.8}' +
    '[aria-pressed=true]{border-color:var(--a);background:color-mix(in srgb,var(--a) 9%,#0000)}' +
    '[aria-pressed=true] [part=icon]{color:var(--a)}' +
    '[aria-pressed=true] svg{fill:currentColor}';

  defaultLabel = 'Like';
  icon = create('path', { d: HEART });
  /** Its name is the button's. */
  #image = create('span', { part: 'icon', role: 'img' }, create('slot', { name: 'icon' }, create('svg', { viewBox: '0 0 24 24' }, this.icon)));
  button = create('button', { part: 'button', 'aria-describedby': 'exact' }, this.#image, this.number);
  #notify = makeStatus(this);

  constructor() {
    super();
    update(this.number, { 'aria-hidden': 'true' });
    this.button.onclick = () => this.press();
    this.shadowRoot?.prepend(this.button);
  }

  /**
   * Likes, or takes the like back.
   * @param {number} [amount] what the visitor contributes then
   * @param {boolean} [more] another press may follow
   */
  press(amount, more) {
    this.resolve(); // the page may have changed without an event
    this.topic?.contribute(amount ?? +!this.topic.mine, more);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  onChange(reason, failure) {
    super.onChange(reason, failure);
    this.#notify(reason);
  }

  /** @param {import('./topic.js').Reason} [reason] */
  render(reason) {
    super.render(reason);
    const { topic, fallback } = this;
    const hidden = !topic || !!topic.failure;
    update(this.button, { hidden });
    update(this.#image, { 'aria-label': this.label ?? this.defaultLabel });
    this.mark(topic?.mine);
    update(fallback, { hidden: !hidden });
  }

  /**
   * Shows whether the visitor pressed.
   * @param {number | undefined} mine
   */
  mark(mine) {
    update(this.button, { 'aria-pressed': `${!!mine}` });
  }
}
