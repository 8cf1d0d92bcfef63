import { Count } from './count.js';
import { keyOf, unsettled } from './page.js';
import { countable, activated, visit } from './visit.js';
import { shared } from './site.js';

/** An element that means the whole site unless `scope="page"`. */
class Wide extends Count {
  static observedAttributes = [...Count.observedAttributes, 'scope', 'consent', 'local'];

  key() {
    return keyOf(this.getAttribute('page') ?? (this.getAttribute('scope') === 'page' ? null : 'site'));
  }
}

/**
 * `<tally-visitors>`: counts this visitor once, of the whole site unless `scope="page"`, and
 * shows the number. With `metric="views"` it counts views. `consent` says that the visitor may be
 * recognised, `local` that localhost and tests count too.
 */
export class Visitors extends Wide {
  static metric = 'visitors';

  /** Counts the visitor once this turn is over and the page is settled: until then another topic may be meant. */
  resolve() {
    super.resolve();
    const { topic } = this;
    setTimeout(() => topic && topic === this.topic && this.isConnected && visit(topic, this), unsettled());
  }
}

/**
 * `<tally-readers>`: makes this page present, on the whole site unless `scope="page"`, and shows
 * how many are.
 */
export class Readers extends Wide {
  static metric = 'readers';

  /** @type {(() => void) | undefined} ends the presence */
  #leave;

  resolve() {
    super.resolve();
    if (!this.topic || !this.isConnected || this.#leave || !countable(this)) return;
    const { name } = this.topic;
    let leave = () => {};
    let left = false;
    activated().then(() => left || (leave = shared.client.present(name)));
    this.#leave = () => {
      left = true;
      leave();
    };
  }

  quit() {
    super.quit();
    this.#leave?.();
    this.#leave = undefined;
  }
}
