import { encodeTopic } from './assert.js';
import { create, update } from './dom.js';
import { TallyElement } from './element.js';
import { format } from './format.js';
import { MOVE_DURATION, reducedMotion } from './motion.js';
import { keyOf } from './page.js';
import { shared } from './site.js';

/** How often a visible list fetches its order, in milliseconds. */
const INTERVAL = 15_000;

const DEFAULT_LIMIT = 10;

/** Divides a key into path and query. */
const KEY = /^(.*?)(\?[\w*.+%&-]*=[\w*.+%=&-]*)?$/s;

/** Matches {key} in `href` if it is the last segment of the path. */
const LAST_SEGMENT = /(?<=^|\/)\{key\}\/?(?=$|[?#])/;

/** @typedef {{ topic: string, count: number, gain?: number }} Entry */

/**
 * Returns the address of the page with a key.
 * @param {string} key
 * @param {string} template with {key} for the path
 */
function addressOf(key, template) {
  const [, path, query = ''] = /** @type {RegExpExecArray} */ (KEY.exec(key));
  const escaped = encodeTopic(path);
  return (path === 'index' ? template.replace(LAST_SEGMENT, query) : template).replace('{key}', escaped + query) || '.';
}

/**
 * `<tally-top>`: the topics of a metric with the highest counts, with live numbers; or those that gained most, with
 * their gains.
 *
 * Its own attributes: `limit`, how many (10); `since`, `24h`, `7d` or `30d` for the gains in this time; `href`, where a
 * row links to, with `{key}` for the topic's key (`/{key}`); `label`, the list's name. A link among the element's own
 * children, whose `data-page` or path is the topic's key, gives the row its title and address; other rows show their
 * key. These links also show without a script.
 */
export class Top extends TallyElement {
  static observedAttributes = [...TallyElement.observedAttributes, 'limit', 'href', 'empty', 'since'];
  static styles =
    TallyElement.styles +
    ':host{display:block}ol{margin:0;padding:0;list-style:none;counter-reset:row}' +
    'li{display:flex;align-items:baseline;gap:.75em;padding:var(--tally-padding,.4em 0);counter-increment:row}' +
    'li::before{content:counter(row);min-inline-size:1.6ch;text-align:end;font-variant-numeric:tabular-nums;opacity:.75}@media(prefers-contrast:more){li::before{opacity:1}}' +
    'a{color:inherit;flex:1;min-inline-size:0;overflow-wrap:anywhere}li>:last-child{font-weight:600}';

  #list = create('ol', { part: 'list' });
  /** @type {Map<string, HTMLLIElement>} by topic */
  #rows = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | undefined} */
  #request;
  #url = ''; // of the last request
  #refresh = () => this.#fetch();

  constructor() {
    super();
    this.shadowRoot?.prepend(this.#list);
  }

  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#refresh);
  }

  release() {
    super.release();
    document.removeEventListener('visibilitychange', this.#refresh);
    this.#url = '';
    this.#cancel();
  }

  /** The list has no topic of its own: its rows have. */
  resolve() {
    update(this.#list, { 'aria-label': this.getAttribute('label') ?? (this.getAttribute('since') ? 'Rising' : 'Most liked') });
    if (this.near) this.#fetch();
  }

  follow() {
    super.follow();
    this.#fetch();
  }

  #cancel() {
    clearTimeout(this.#timer);
    this.#request?.abort();
  }

  async #fetch() {
    this.#cancel();
    if (!this.near || document.hidden || !this.isConnected) return;
    const site = this.getAttribute('site') ?? shared.site;
    const metric = this.getAttribute('metric') ?? Top.metric;
    const since = this.getAttribute('since');
    const query = new URLSearchParams({ limit: String(Number(this.getAttribute('limit')) || DEFAULT_LIMIT), ...(since && { since }) });
    const url = `${shared.client.api}v1/top/${site}/${metric}?${query}`;
    // A paused list keeps its order, and nothing moves under a pointer or a focus.
    if (url !== this.#url || !(this.paused || this.matches(':hover,:focus-within'))) {
      // A row of a count cannot show a gain.
      if (url !== this.#url) this.#rows.clear();
      this.#url = url;
      const { signal } = (this.#request = new AbortController());
      try {
        const response = await fetch(url, { signal });
        const body = await response.json();
        if (response.ok) this.#show(body.top);
        else this.emit('error', { code: body.code, message: body.detail });
      } catch {
        if (signal.aborted) return;
        // No network, or no JSON: the rows stay until the next request.
      }
    }
    this.#timer = setTimeout(this.#refresh, INTERVAL);
  }

  /** @param {Entry[]} top */
  #show(top) {
    const before = new Map([...this.#rows.values()].map((row) => [row, row.offsetTop]));
    const rows = new Map(top.map((entry) => [entry.topic, this.#rows.get(entry.topic) ?? this.#createRow(entry)]));
    this.#rows = rows;
    for (const { topic, gain } of top) {
      if (gain) update(/** @type {Element} */ (rows.get(topic)?.lastChild), { textContent: `+${format(gain, this.language).exact}` });
    }
    [...rows.values()].forEach((row, index) => {
      const current = this.#list.children[index];
      if (current !== row) this.#list.insertBefore(row, current ?? null);
    });
    while (this.#list.children.length > rows.size) this.#list.lastChild?.remove();
    // Shows if the element has no children.
    update(this.fallback, { hidden: rows.size > 0, textContent: this.getAttribute('empty') ?? 'Nothing here yet' });
    if (reducedMotion()) return;
    for (const [row, top] of before) {
      const distance = top - row.offsetTop;
      if (distance && row.isConnected) row.animate({ translate: [`0 ${distance}px`, '0'] }, { duration: MOVE_DURATION, easing: 'ease-out' });
    }
  }

  /** @param {Entry} entry */
  #createRow({ topic, count, gain }) {
    const [site, metric, ...segments] = topic.split('/');
    const key = segments.join('/');
    const link = [...this.querySelectorAll('a')].find(({ dataset: { page }, href, pathname }) =>
      // Links such as mailto: and those of SVG have no path.
      (page !== undefined ? [page] : pathname?.[0] === '/' ? [href, pathname] : []).some((address) => keyOf(address) === key),
    );
    const href = link?.href ?? addressOf(key, this.getAttribute('href') ?? '/{key}');
    const title = create('a', { part: 'link', href }, link?.textContent?.trim() || key);
    if (gain) return create('li', { part: 'row' }, title, create('span', { part: 'number', dir: 'ltr' })); // the sign comes first, also in right-to-left text
    const number = create('tally-count', { site, metric, page: key, count: String(count), exportparts: 'number,exact', ...(this.language && { lang: this.language }) });
    // The service's key must not be decoded again.
    number.key = () => key;
    return create('li', { part: 'row' }, title, number);
  }

  render() {}
}
