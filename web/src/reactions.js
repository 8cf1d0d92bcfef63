import { make, write } from './dom.js';
import { TallyElement } from './element.js';

/** What the contract's metrics look like, and are called in English. */
const known = /** @type {Map<string, [emoji: string, label: string]>} */ (
  new Map([
    ['heart', ['❤', 'Heart']],
    ['party', ['🎉', 'Party']],
    ['rocket', ['🚀', 'Rocket']],
    ['laugh', ['😄', 'Laugh']],
    ['wow', ['😮', 'Wow']],
    ['sad', ['😢', 'Sad']],
  ])
);

/** Variation selector 16: in colour, even if a font for text has the sign. */
const COLOUR = '\uFE0F';

/**
 * Reads `heart=Love it, party` as names with what stands behind them.
 * @param {string | null} text
 * @returns {Map<string, string | undefined>}
 */
const pairs = (text) => {
  const found = new Map();
  for (const part of text?.split(',') ?? []) {
    const [name, ...rest] = part.split('=');
    if (name.trim()) found.set(name.trim(), rest.length ? rest.join('=').trim() : undefined);
  }
  return found;
};

/**
 * `<tally-reactions>`: a row of emoji, each a toggle metric that the site declares.
 *
 * Attributes beside those of all elements: `reactions`, the metrics by name, each with its label
 * where one is given (`heart=Love it, party`); `count`, numbers by name (`heart=3,party=1`);
 * `label`, the row's name. An emoji of one's own comes through the slot of the metric's name.
 */
export class Reactions extends TallyElement {
  static observedAttributes = [...TallyElement.observedAttributes, 'reactions'];
  static styles =
    TallyElement.styles +
    '[part=row]{display:inline-flex;flex-wrap:wrap;gap:.4em}' +
    // An emoji has its own colours: what is pressed shows around it.
    '.on{--tally-border:var(--a);--tally-background:color-mix(in srgb,var(--a) 12%,#0000)}' +
    '@media(forced-colors:active){.on::part(button){forced-color-adjust:none;background:Highlight;color:HighlightText}.on::part(icon){color:HighlightText}}' +
    '[slot=icon]{display:inline-block;min-inline-size:1.2em;text-align:center;line-height:1}';

  #row = make('span', { part: 'row', role: 'group' });
  /** @type {Map<string, HTMLElement>} by name */
  #made = new Map();

  /** The page was no valid one, and this was told. */
  #refused = false;

  constructor() {
    super();
    this.shadowRoot?.prepend(this.#row);
    // Outside, all events come from the row: they tell which of its metrics is meant.
    const tell = (/** @type {any} */ { target, detail }) => {
      detail.metric = target.metric;
      target.classList.toggle('on', target.topic?.own > 0);
    };
    for (const name of ['load', 'change', 'error']) this.#row.addEventListener('tally-' + name, tell);
  }

  /** The row has one topic an emoji, and they look after themselves. */
  resolve() {
    if (!this.isConnected) return;
    const hidden = !this.key();
    write(this.#row, { hidden, 'aria-label': this.getAttribute('label') ?? 'Reactions' });
    write(this.fallback, { hidden: !hidden });
    if (hidden && !this.#refused) this.refuse();
    this.#refused = hidden;
    if (hidden) return;
    const names = pairs(this.getAttribute('reactions') ?? [...known.keys()].join());
    const counts = pairs(this.getAttribute('count'));
    for (const [name, like] of this.#made) {
      if (names.has(name)) continue;
      like.remove();
      this.#made.delete(name);
    }
    let at = 0;
    for (const [name, label] of names) {
      const like = this.#made.get(name) ?? this.#make(name);
      const [, english] = known.get(name) ?? [];
      const attributes = { metric: name, label: label ?? english ?? name, count: counts.get(name), lang: this.lang_ };
      for (const attribute of ['site', 'page', 'live', 'kept', 'refused']) {
        Object.assign(attributes, { [attribute]: this.getAttribute(attribute) });
      }
      for (const [attribute, value] of Object.entries(attributes)) {
        if (value == null) like.removeAttribute(attribute);
        else if (like.getAttribute(attribute) !== value) like.setAttribute(attribute, value);
      }
      // One that stands where it is to stand keeps the focus.
      const there = this.#row.children[at++];
      if (there !== like) this.#row.insertBefore(like, there ?? null);
    }
  }

  /** @param {string} name */
  #make(name) {
    const [sign] = known.get(name) ?? [];
    const emoji = make('slot', { name }, sign ? sign + COLOUR : name);
    const like = make(
      'tally-like',
      { part: 'reaction', exportparts: 'button,icon,number,status,exact' },
      make('span', { slot: 'icon', 'aria-hidden': 'true' }, emoji),
    );
    this.#made.set(name, like);
    return like;
  }

  paint() {}
}
