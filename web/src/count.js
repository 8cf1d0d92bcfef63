import { write } from './dom.js';
import { TallyElement } from './element.js';

/** `<tally-count>`: a topic's number, inline. Until it is known the element's own text shows. */
export class Count extends TallyElement {
  // The width is reserved while nothing is known: the text around does not jump. The parts inside have it, since
  // a minimum of the element itself would replace the one by which rows of the page do not make it too narrow.
  static styles =
    TallyElement.styles +
    'slot:not([hidden]),[part=number]{display:inline-block;min-inline-size:var(--tally-width,1ch)}' +
    'slot:not([hidden])~[part=number]{display:none}';

  /** @type {import('./topic.js').Topic | undefined} what the element's own text speaks of */
  #first;

  constructor() {
    super();
    this.shadowRoot?.append(this.number);
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
