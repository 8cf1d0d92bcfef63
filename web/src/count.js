import { update } from './dom.js';
import { TallyElement } from './element.js';

/** `<tally-count>`: a topic's number, inline. Until it is known the element's own text shows. */
export class Count extends TallyElement {
  // The width is reserved while the number is unknown: the text around it does not jump. It is set on the parts: on
  // the element it would replace the automatic minimum that flex rows of the page use.
  static styles =
    TallyElement.styles +
    'slot:not([hidden]),[part=number]{display:inline-block;min-inline-size:var(--tally-width,1ch)}' +
    'slot:not([hidden])~[part=number]{display:none}';

  /** @type {import('./topic.js').Topic | undefined} the topic that the element's own text is about */
  #first;

  constructor() {
    super();
    this.shadowRoot?.append(this.number);
  }

  /** @param {import('./topic.js').Reason} [reason] */
  render(reason) {
    super.render(reason);
    const { number, exact, fallback, topic } = this;
    this.#first ??= topic;
    const known = topic && !topic.failure && topic.count !== undefined;
    update(fallback, { hidden: known || this.#first !== topic });
    // A shortened number can be focused, and is read out in full.
    update(number, exact.className ? { role: 'img', 'aria-label': exact.textContent, tabIndex: 0 } : { role: null, 'aria-label': null, tabIndex: -1 });
  }
}
