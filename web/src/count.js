import { write } from './dom.js';
import { TallyElement } from './element.js';

/** `<tally-count>`: a topic's number, inline. Until it is known the element's own text shows. */
export class Count extends TallyElement {
  // The width is reserved while nothing is known: what stands around does not jump.
  static styles = TallyElement.styles + ':host{min-inline-size:var(--tally-width,1ch)}[part=number][hidden]{display:none}';

  /** @type {import('./topic.js').Topic | undefined} what the element's own text speaks of */
  #first;

  constructor() {
    super();
    this.shadowRoot?.prepend(this.number);
  }

  /** @param {import('./topic.js').Reason} [source] */
  paint(source) {
    super.paint(source);
    const { number, exact, fallback } = this;
    this.#first ??= this.topic;
    write(fallback, { hidden: !number.hidden || this.#first !== this.topic });
    // What is shortened for the eye can be reached, and is read out, in full.
    write(number, exact.className ? { role: 'img', 'aria-label': exact.textContent, tabIndex: 0 } : { role: null, 'aria-label': null, tabIndex: -1 });
  }
}
