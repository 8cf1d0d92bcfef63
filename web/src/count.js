import { TallyElement } from './element.js';

/** `<tally-count>`: a topic's number, inline. Until it is known the element's own text shows. */
export class Count extends TallyElement {
  static styles = ':host{display:inline}';

  constructor() {
    super();
    this.shadowRoot?.prepend(this.number);
  }

  /** @param {import('./topic.js').Reason} [source] */
  paint(source) {
    super.paint(source);
    const { number, fallback } = this;
    fallback.hidden = !number.hidden || this.moved;
    // What is shortened for the eye can be reached, and is read out, in full.
    for (const [name, value] of Object.entries({ role: 'img', 'aria-label': number.title, tabindex: '0' })) {
      if (number.title) number.setAttribute(name, value);
      else number.removeAttribute(name);
    }
  }
}
