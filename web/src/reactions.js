import { create, update } from './dom.js';
import { TallyElement } from './element.js';

/** The emoji and English labels of the service's default reactions, by metric. */
const DEFAULTS = /** @type {Map<string, [emoji: string, label: string]>} */ (
  new Map([
    ['heart', ['❤', 'Heart']],
    ['party', ['🎉', 'Party']],
    ['rocket', ['🚀', 'Rocket']],
    ['laugh', ['😄', 'Laugh']],
    ['wow', ['😮', 'Wow']],
    ['sad', ['😢', 'Sad']],
  ])
);

/** Variation selector 16: shows the emoji in colour even if a text font has the character. */
const COLOUR = '\uFE0F';

/**
 * Parses `heart=Love it, party` to values by name.
 * @param {string | null} text
 * @returns {Map<string, string | undefined>}
 */
const parsePairs = (text) => {
  const pairs = new Map();
  for (const part of text?.split(',') ?? []) {
    const [name, ...rest] = part.split('=');
    if (name.trim()) pairs.set(name.trim(), rest.length ? rest.join('=').trim() : undefined);
  }
  return pairs;
};

/**
 * `<tally-reactions>`: a row of emoji, each a toggle metric that the site declares.
 *
 * Its own attributes: `reactions`, the metrics, each with an optional label (`heart=Love it, party`); `count`,
 * numbers by metric (`heart=3,party=1`); `label`, the row's name. The slot with a metric's name takes another emoji.
 */
export class Reactions extends TallyElement {
  static observedAttributes = [...TallyElement.observedAttributes, 'reactions'];
  static styles =
    TallyElement.styles +
    '[part=row]{display:inline-flex;flex-wrap:wrap;gap:.4em}' +
    '@media(forced-colors:active){.on::part(button){forced-color-adjust:none;background:Highlight;color:HighlightText}.on::part(icon){color:HighlightText}}' +
    '[slot=icon]{display:inline-block;min-inline-size:1.2em;text-align:center;line-height:1}';

  #row = create('span', { part: 'row', role: 'group' });
  /** @type {Map<string, HTMLElement>} by metric */
  #likes = new Map();
  #badPage = false;

  constructor() {
    super();
    this.shadowRoot?.prepend(this.#row);
    // Outside the row all events come from this element: they name the metric.
    const addMetric = (/** @type {any} */ { target, detail }) => {
      detail.metric = target.metric;
      target.classList.toggle('on', target.topic?.mine > 0);
    };
    for (const name of ['load', 'change', 'error']) this.#row.addEventListener('tally-' + name, addMetric);
  }

  /** Creates, removes and orders a `<tally-like>` for each metric. */
  resolve() {
    if (!this.isConnected) return;
    const hidden = !this.key();
    update(this.#row, { hidden, 'aria-label': this.getAttribute('label') ?? 'Reactions' });
    update(this.fallback, { hidden: !hidden });
    if (hidden && !this.#badPage) this.reportBadPage();
    this.#badPage = hidden;
    if (hidden) return;
    const labels = parsePairs(this.getAttribute('reactions') ?? [...DEFAULTS.keys()].join());
    const counts = parsePairs(this.getAttribute('count'));
    for (const [metric, like] of this.#likes) {
      if (labels.has(metric)) continue;
      like.remove();
      this.#likes.delete(metric);
    }
    let index = 0;
    for (const [metric, label] of labels) {
      const like = this.#likes.get(metric) ?? this.#createLike(metric);
      const [, english] = DEFAULTS.get(metric) ?? [];
      const attributes = { metric, label: label ?? english ?? metric, count: counts.get(metric), lang: this.language };
      for (const attribute of ['site', 'page', 'live', 'kept', 'refused']) {
        Object.assign(attributes, { [attribute]: this.getAttribute(attribute) });
      }
      for (const [attribute, value] of Object.entries(attributes)) {
        if (value == null) like.removeAttribute(attribute);
        else if (like.getAttribute(attribute) !== value) like.setAttribute(attribute, value);
      }
      // A button that is not moved keeps the focus.
      const current = this.#row.children[index++];
      if (current !== like) this.#row.insertBefore(like, current ?? null);
    }
  }

  /** @param {string} metric */
  #createLike(metric) {
    const [emoji] = DEFAULTS.get(metric) ?? [];
    const slot = create('slot', { name: metric }, emoji ? emoji + COLOUR : metric);
    const like = create(
      'tally-like',
      { part: 'reaction', exportparts: 'button,icon,number,status,exact' },
      create('span', { slot: 'icon', 'aria-hidden': 'true' }, slot),
    );
    this.#likes.set(metric, like);
    return like;
  }

  render() {}
}
