import { LazyElement } from './lazyelement.js';

/**
 * `<tally-trend>`: a line of a topic's counts, whose last point is live. Its own attributes: `days`, how long the line is
 * (30); `label`, its name.
 */
export class Trend extends LazyElement {
  // Without children the place of the line is reserved.
  static styles = LazyElement.styles + ':host(:empty){inline-size:10em;max-inline-size:100%;block-size:2.5em}';
  static observedAttributes = [...LazyElement.observedAttributes, 'days'];

  /** @type {{ topic?: import('./topic.js').Topic, count?: number }} the number on screen, from the last event */
  shown = {};

  loadView() {
    return import('./trendview.js').then(({ trend }) => /** @type {import('./lazyelement.js').MakeView} */ (trend));
  }

  /**
   * @param {string} name
   * @param {{ count?: number }} detail
   */
  emit(name, detail) {
    if (detail.count !== undefined) this.shown = { topic: this.topic, count: detail.count };
    super.emit(name, detail);
  }
}
