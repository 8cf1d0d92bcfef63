import { LazyElement } from './lazyelement.js';
import { makeStatus } from './status.js';

/**
 * An element of a `choice` metric: each visitor chooses one of its options.
 *
 * Its own attributes: `options`, the names of the options, separated by commas; `count`, the number of each option
 * (`3,0,5`); `withdraw`, the name of the button that takes the choice back; `closed`, results only.
 */
class Choice extends LazyElement {
  static observedAttributes = [...LazyElement.observedAttributes, 'options', 'closed', 'withdraw'];

  #notify = makeStatus(this);

  resolve() {
    super.resolve();
    if (this.topic) this.topic.choice = true;
  }

  loadView() {
    return import('./choices.js').then(({ views }) => views[this.localName]);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  onChange(reason, failure) {
    super.onChange(reason, failure);
    this.#notify(reason);
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  emit(name, detail) {
    super.emit(name, { ...detail, ...(name !== 'error' && { options: this.topic?.options }) });
  }
}

/**
 * `<tally-poll>`: a question with one answer for each visitor. Its own attributes: `label`, the question;
 * `results="after"`, numbers only after the visitor chose; `send`, the name of the button that sends a choice made by
 * arrow keys; `total`, the name of the number of votes.
 */
export class Poll extends Choice {
  static metric = 'poll';
  static observedAttributes = [...Choice.observedAttributes, 'results', 'send', 'total'];
}

/** `<tally-rating>`: one to five stars, with the average and the number of visitors who rated. */
export class Rating extends Choice {
  static metric = 'rating';
  static observedAttributes = [...Choice.observedAttributes, 'send', 'total'];
}

/** `<tally-vote>`: up and down, with the difference; with `show="both"` both numbers. */
export class Vote extends Choice {
  static metric = 'votes';
  static observedAttributes = [...Choice.observedAttributes, 'show'];
}
