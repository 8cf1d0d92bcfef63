import { create, isSet, update } from './dom.js';
import { format } from './format.js';
import { localeOf } from './locale.js';
import { makeRadios, makeView, namesOf, textOf } from './options.js';

const css =
  ':host{display:block;max-inline-size:32em}fieldset{all:unset;display:grid;gap:.5em;inline-size:100%}legend{padding:0;font-weight:600;margin-block-end:.5em}' +
  '[part=option]{position:relative;display:grid;grid-template-columns:auto 1fr auto;gap:.3em .6em;align-items:center;padding:.6em .8em;' +
  'border:1px solid var(--b);border-radius:var(--tally-radius,.6em);background:var(--tally-background,none);cursor:pointer}' +
  '.closed [part=option]{grid-template-columns:1fr auto;cursor:auto}' +
  '[part=option]:hover:not(.closed *),.mine[part=option]{border-color:var(--a)}.mine{font-weight:600}' +
  'input{margin:0;width:1.1em;height:1.1em;accent-color:var(--a)}' +
  '[part=result]{text-align:end;font-weight:400;font-variant-numeric:tabular-nums}' +
  '[part=bar],[part=fill]{display:block}[part=bar]{grid-column:1/-1;block-size:.4em;border-radius:1em;background:color-mix(in srgb,currentColor 12%,#0000);overflow:hidden}' +
  '[part=fill]{block-size:100%;border-radius:1em;background:color-mix(in srgb,var(--a) 45%,#0000);transition:inline-size .4s}.mine [part=fill]{background:var(--a)}' +
  '[part=foot]{display:flex;flex-wrap:wrap;gap:.4em 1em;margin-block-start:.5em;min-block-size:1.5em;font-size:.9em}[part=total]{flex:1}' +
  '@media(prefers-reduced-motion:reduce){[part=fill]{transition:none}}' +
  '@media(forced-colors:active){[part=bar]{border:1px solid}[part=fill]{forced-color-adjust:none;background:CanvasText}.mine[part=option]{border-color:Highlight;outline:1px solid Highlight}}';

/**
 * The view of `<tally-poll>`.
 * @param {import('./element.js').TallyElement} element
 */
export function poll(element) {
  const legend = create('legend', { part: 'question' });
  const list = create('fieldset', { part: 'poll' }, legend);
  const total = create('span', { part: 'total' });
  const radios = makeRadios(element, list);
  const foot = create('span', { part: 'foot' }, total, radios.send, radios.remove);
  const root = create('div', {}, list, foot);
  /** @type {{ row: HTMLElement, input: HTMLElement, result: HTMLElement, bar: HTMLElement, fill: HTMLElement }[]} */
  let rows = [];
  let drawn = ''; // the names in rows

  /** @param {string[]} names */
  const build = (names) => {
    rows.forEach(({ row }) => row.remove());
    rows = names.map((name, index) => {
      const id = `option-${index + 1}`;
      const result = create('span', { part: 'result', id: `${id}-result` });
      const fill = create('span', { part: 'fill' });
      const bar = create('span', { part: 'bar', 'aria-hidden': 'true' }, fill);
      const input = create('input', { type: 'radio', name: 'option', value: String(index + 1), 'aria-labelledby': id, 'aria-describedby': result.id });
      const row = create('label', { part: 'option' }, input, create('span', { part: 'name', id }, name), result, bar);
      list.append(row);
      return { row, input, result, bar, fill };
    });
  };

  return makeView(element, {
    root,
    css,
    shown: () => namesOf(element, Array.from(element.topic?.options ?? [], (_, i) => i + 1).join()).length,
    draw({ options, total: sum, mine, known }) {
      const names = namesOf(element, options.map((_, i) => i + 1).join());
      if (names.join() !== drawn) build(names);
      drawn = names.join();
      const closed = isSet(element, 'closed');
      const showResults = known && (closed || mine > 0 || textOf(element, 'results', '') !== 'after');
      const percent = new Intl.NumberFormat(localeOf(element.language), { style: 'percent' });
      update(list, { className: closed ? 'closed' : '' });
      update(legend, { textContent: textOf(element, 'label', ''), hidden: !element.hasAttribute('label') });
      rows.forEach(({ row, input, result, bar, fill }, index) => {
        const share = sum ? options[index] / sum : 0;
        update(row, { className: mine === index + 1 ? 'mine' : '' });
        update(input, { hidden: closed });
        update(result, { textContent: showResults ? `${percent.format(share)} · ${format(options[index], element.language).short}` : '' });
        update(bar, { hidden: !showResults });
        fill.style.inlineSize = `${100 * share}%`;
      });
      update(total, { textContent: showResults ? `${textOf(element, 'total', 'Votes')}: ${format(sum, element.language).short}` : '' });
      radios.mark(mine);
      if (closed) update(radios.remove, { hidden: true });
    },
  });
}
