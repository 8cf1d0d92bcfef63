import { TallyElement } from './element.js';
import { shared } from './site.js';

/**
 * @typedef {object} View draws an element into its shadow tree
 * @property {(reason?: import('./topic.js').Reason) => void} render
 * @property {() => void} [release] ends timers and requests; after it, render may be called again
 *
 * @typedef {(element: TallyElement, api: string) => View} MakeView api is the service's URL, with a slash at the end
 */

/**
 * An element whose view is loaded when the element comes near the viewport. In /tally.js it is a second script. Before
 * that, and if it cannot be loaded, the element's own children show.
 */
export class LazyElement extends TallyElement {
  /** @type {View | undefined} */
  #view;

  /**
   * Loads the function that makes the view.
   * @abstract
   * @returns {Promise<MakeView>}
   */
  async loadView() {
    throw new Error();
  }

  follow() {
    super.follow();
    if (this.#view) return;
    this.loadView().then(
      (makeView) => {
        this.#view ??= makeView(this, shared.client.api);
        this.render();
      },
      () => {}, // resolved again, the element tries again
    );
  }

  /** @param {import('./topic.js').Reason} [reason] */
  render(reason) {
    super.render(reason);
    this.#view?.render(reason);
  }

  release() {
    super.release();
    this.#view?.release?.();
  }
}
