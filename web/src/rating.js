import { create, isSet, update } from './dom.js';
import { format } from './format.js';
import { localeOf } from './locale.js';
import { makeRadios, makeView, namesOf, textOf } from './options.js';

const STARS = 5;

const STAR = 'm12 2.5 2.9 6.2 6.6.8-4.9 4.6 1.3 6.7-5.9-3.3-5.9 3.3 1.3-6.7L2.5 9.5l6.6-.8z';

const css =
  ':host{vertical-align:middle}div{display:inline-flex;flex-wrap:wrap;align-items:center;gap:.3em .6em}' +
  '[part=stars]{all:unset;display:inline-flex}[part=star]{position:relative;display:block;padding:.15em;border-block-end:2px solid #0000}' +
  'svg{display:block;width:1.4em;fill:none;stroke:currentColor;stroke-width:1.5}.fill{position:absolute;inset:.15em;fill:var(--a);stroke:var(--a)}' +
  '.half .fill{clip-path:inset(0 50% 0 0)}.rtl .half .fill{clip-path:inset(0 0 0 50%)}.none .fill{visibility:hidden}' +
  '.mine[part=star]{border-color:var(--a)}' +
  // The radio button covers its star, and shows only the focus and the pointer.
  'input{all:unset;position:absolute;inset:0;border-radius:.3em;cursor:pointer}input:disabled{cursor:auto}input:hover:enabled{background:color-mix(in srgb,var(--a) 15%,#0000)}' +
  '@media(forced-colors:active){.fill{fill:CanvasText;stroke:CanvasText}.mine[part=star]{border-color:Highlight}[part=star]{border-color:Canvas}}';

/**
 * The view of `<tally-rating>`. The filled stars show the average, in halves; a line marks the visitor's own.
 * @param {import('./element.js').TallyElement} element
 */
export function rating(element) {
  const stars = create('fieldset', { part: 'stars' });
  const average = create('span', { part: 'average' });
  const total = create('span', { part: 'total' });
  const radios = makeRadios(element, stars);
  const root = create('div', {}, stars, average, total, radios.send, radios.remove);
  const all = Array.from({ length: STARS }, (_, index) => {
    const input = create('input', { type: 'radio', name: 'option', value: String(index + 1) });
    const shape = (/** @type {Record<string, string>} */ attributes) => create('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true', ...attributes }, create('path', { d: STAR }));
    const star = create('label', { part: 'star' }, shape({}), shape({ class: 'fill' }), input);
    stars.append(star);
    return { star, input };
  });

  return makeView(element, {
    root,
    css,
    shown: () => STARS,
    draw({ options, total: sum, mine, known }) {
      const mean = sum ? options.reduce((points, count, index) => points + count * (index + 1), 0) / sum : 0;
      const halves = Math.round(mean * 2);
      const names = namesOf(element, '1 star,2 stars,3 stars,4 stars,5 stars');
      const closed = isSet(element, 'closed');
      const { language } = element;
      const decimal = mean.toLocaleString(localeOf(language), { minimumFractionDigits: 1, maximumFractionDigits: 1 });
      update(stars, { 'aria-label': textOf(element, 'label', 'Rating'), className: getComputedStyle(element).direction });
      all.forEach(({ star, input }, index) => {
        const part = halves - 2 * index;
        update(star, { className: `${part > 1 ? '' : part === 1 ? 'half' : 'none'}${mine === index + 1 ? ' mine' : ''}` });
        update(input, { 'aria-label': names[index] ?? String(index + 1), disabled: closed });
      });
      update(average, { textContent: known && sum ? decimal : '' });
      update(total, { textContent: known ? `${textOf(element, 'total', 'Votes')}: ${format(sum, language).short}` : '' });
      radios.mark(mine);
      if (closed) update(radios.remove, { hidden: true });
    },
  });
}
