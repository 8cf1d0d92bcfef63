import { write } from './dom.js';
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
    write(fallback, { hidden: !number.hidden || this.moved });
    // What is shortened for the eye can be reached, and is read out, in full.
    const { title } = number;
    write(number, title ? { role: 'img', ariaLabel: title, tabIndex: 0 } : { role: null, ariaLabel: null, tabIndex: -1 });
  }
}
