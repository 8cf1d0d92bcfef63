import { make, write } from './dom.js';
import { TallyElement } from './element.js';
import { MOVE, still } from './motion.js';
import { keyOf } from './page.js';
import { shared } from './site.js';

/** How often the order is asked for while it is seen, in milliseconds. */
const ASK = 15_000;

/** Rows where the element says nothing. */
const ROWS = 10;

/** A key, divided into the path and the query that it was made of. */
const KEY = /^(.*?)(\?[\w*.+%&-]*=[\w*.+%=&-]*)?$/s;

/** The place of the key in `href` if it is the last segment of the path. */
const LAST = /(?<=^|\/)\{key\}\/?(?=$|[?#])/;

/**
 * The address of the page with a key.
 * @param {string} key
 * @param {string} template with {key} for the path
 */
function addressOf(key, template) {
  const [, path, query = ''] = /** @type {RegExpExecArray} */ (KEY.exec(key));
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return (path === 'index' ? template.replace(LAST, query) : template).replace('{key}', escaped + query) || '.';
}

/**
 * `<tally-top>`: the topics of a metric with the highest counts, their numbers live.
 *
 * Attributes beside those of all elements: `limit`, how many (10); `href`, where a row leads, with
 * `{key}` for the topic's key (`/{key}`); `label`, the list's name. A row is called what a link
 * among the element's own children says whose `data-page`, or whose path, is its key; else by
 * its key. These links are also what shows without a script.
 */
export class Top extends TallyElement {
  static observedAttributes = [...TallyElement.observedAttributes, 'limit', 'href'];
  static styles =
    TallyElement.styles +
    ':host{display:block}ol{margin:0;padding:0;list-style:none;counter-reset:row}' +
    'li{display:flex;align-items:baseline;gap:.75em;padding:var(--tally-padding,.4em 0);counter-increment:row}' +
    'li::before{content:counter(row);min-inline-size:1.6ch;text-align:end;font-variant-numeric:tabular-nums;opacity:.75}@media(prefers-contrast:more){li::before{opacity:1}}' +
    'a{color:inherit;flex:1;min-inline-size:0;overflow-wrap:anywhere}tally-count{font-weight:600}';

  #list = make('ol', { part: 'list' });
  /** @type {Map<string, HTMLLIElement>} topic → its row */
  #rows = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  /** @type {AbortController | undefined} */
  #asking;
  #asked = '';
  #see = () => this.#ask();

  constructor() {
    super();
    this.shadowRoot?.prepend(this.#list);
  }

  connectedCallback() {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#see);
  }

  quit() {
    super.quit();
    document.removeEventListener('visibilitychange', this.#see);
    this.#asked = '';
    this.#rest();
  }

  /** The list has one topic a row, and these look after themselves. */
  resolve() {
    write(this.#list, { 'aria-label': this.getAttribute('label') ?? 'Most liked' });
    if (this.near) this.#ask();
  }

  follow() {
    super.follow();
    this.#ask();
  }

  #rest() {
    clearTimeout(this.#next);
    this.#asking?.abort();
  }

  async #ask() {
    this.#rest();
    if (!this.near || document.hidden || !this.isConnected) return;
    const site = this.getAttribute('site') ?? shared.site;
    const metric = this.getAttribute('metric') ?? Top.metric;
    const url = `${shared.client.api}v1/top/${site}/${metric}?limit=${Number(this.getAttribute('limit')) || ROWS}`;
    const other = url !== this.#asked;
    // A paused page keeps its order, and nothing moves under a pointer or a focus.
    if (other || !(this.paused || this.matches(':hover,:focus-within'))) {
      this.#asked = url;
      const { signal } = (this.#asking = new AbortController());
      try {
        const response = await fetch(url, { signal });
        const body = await response.json();
        if (response.ok) this.#show(body.top);
        else this.emit('error', { code: body.code, message: body.detail });
      } catch {
        if (signal.aborted) return;
        // No network, or no JSON: the rows stay, and are asked for again.
      }
    }
    this.#next = setTimeout(this.#see, ASK);
  }

  /** @param {{ topic: string, count: number }[]} top */
  #show(top) {
    const from = new Map([...this.#rows.values()].map((row) => [row, row.offsetTop]));
    const rows = new Map(top.map(({ topic, count }) => [topic, this.#rows.get(topic) ?? this.#row(topic, count)]));
    this.#rows = rows;
    [...rows.values()].forEach((row, at) => {
      const there = this.#list.children[at];
      if (there !== row) this.#list.insertBefore(row, there ?? null);
    });
    while (this.#list.children.length > rows.size) this.#list.lastChild?.remove();
    write(this.fallback, { hidden: rows.size > 0 });
    if (still()) return;
    for (const [row, top] of from) {
      const by = top - row.offsetTop;
      if (by && row.isConnected) row.animate({ translate: [`0 ${by}px`, '0'] }, { duration: MOVE, easing: 'ease-out' });
    }
  }

  /**
   * @param {string} topic
   * @param {number} count
   */
  #row(topic, count) {
    const [site, metric, ...segments] = topic.split('/');
    const key = segments.join('/');
    const known = [...this.querySelectorAll('a')].find(({ dataset: { page }, href, pathname }) =>
      // mailto: and SVG links have no such path.
      (page !== undefined ? [page] : pathname?.[0] === '/' ? [href, pathname] : []).some((address) => keyOf(address) === key),
    );
    const href = known?.href ?? addressOf(key, this.getAttribute('href') ?? '/{key}');
    const number = make('tally-count', { site, metric, page: key, count: String(count), exportparts: 'number,exact', ...(this.lang_ && { lang: this.lang_ }) });
    // The key is the service's own: it is not decoded again.
    number.key = () => key;
    return make('li', { part: 'row' }, make('a', { part: 'link', href }, known?.textContent?.trim() || key), number);
  }

  paint() {}
}
