import { Count } from './count.js';
import { keyOf, settleDelay } from './page.js';
import { shared } from './site.js';
import { activated, isCountable, visit } from './visit.js';

/** An element that counts the whole site unless it has `scope="page"`. */
class SiteCount extends Count {
  static observedAttributes = [...Count.observedAttributes, 'scope', 'consent', 'local'];

  key() {
    return keyOf(this.getAttribute('page') ?? (this.getAttribute('scope') === 'page' ? null : 'site'));
  }
}

/**
 * `<tally-visitors>`: counts this visitor once and shows the number. With `metric="views"` it counts views.
 * `consent` says that the visitor agreed to a stored id; `local` counts on localhost and in tests, too.
 */
export class Visitors extends SiteCount {
  static metric = 'visitors';

  /** Counts the visitor after this turn, once the router has written the canonical link: the topic may still change. */
  resolve() {
    super.resolve();
    const { topic } = this;
    setTimeout(() => topic && topic === this.topic && this.isConnected && visit(topic, this), settleDelay());
  }
}

/** `<tally-readers>`: makes this page a reader and shows how many there are. */
export class Readers extends SiteCount {
  static metric = 'readers';

  /** @type {(() => void) | undefined} */
  #leave;

  resolve() {
    super.resolve();
    if (!this.topic || !this.isConnected || this.#leave || !isCountable(this)) return;
    const { name } = this.topic;
    let end = () => {};
    let left = false;
    activated().then(() => left || (end = shared.client.present(name)));
    this.#leave = () => {
      left = true;
      end();
    };
  }

  release() {
    super.release();
    this.#leave?.();
    this.#leave = undefined;
  }
}
