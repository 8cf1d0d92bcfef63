import { create, isSet, update } from './dom.js';
import { format } from './format.js';
import { choose, makeView, namesOf, textOf } from './options.js';

const ARROWS = ['M12 4 4 14h5v6h6v-6h5z', 'M12 20 4 10h5V4h6v6h5z'];

const css =
  ':host{vertical-align:middle}div{display:inline-flex;align-items:center;gap:.5em}' +
  '[part=icon]{display:flex}button{display:inline-flex;align-items:center;gap:.4em;padding:var(--tally-padding,.4em .6em);border:1px solid var(--b);border-radius:var(--tally-radius,2em);background:var(--tally-background,none)}' +
  'button:hover:enabled{border-color:var(--a)}button:disabled{cursor:auto;opacity:.6}' +
  '[aria-pressed=true]{border-color:var(--a);color:var(--a);background:color-mix(in srgb,var(--a) 9%,#0000)}[aria-pressed=true] svg{fill:currentColor}' +
  'svg{width:1.1em;fill:none;stroke:currentColor;stroke-width:1.8}[part=score]{min-width:2ch;text-align:center;font-variant-numeric:tabular-nums}' +
  '@media(forced-colors:active){[aria-pressed=true]{forced-color-adjust:none;background:Highlight;color:HighlightText}}';

/**
 * The view of `<tally-vote>`: two switches. Pressing a pressed one takes the vote back.
 * @param {import('./element.js').TallyElement} element
 */
export function vote(element) {
  const score = create('span', { part: 'score' });
  const buttons = ARROWS.map((d, index) => {
    const image = create('span', { part: 'icon', role: 'img' }, create('slot', { name: index ? 'down' : 'up' }, create('svg', { viewBox: '0 0 24 24' }, create('path', { d }))));
    const number = create('span', { part: 'number', 'aria-hidden': 'true' });
    const button = create('button', { part: index ? 'down' : 'up', type: 'button', 'aria-describedby': `number-${index}` }, image, number);
    number.id = `number-${index}`;
    button.onclick = () => choose(element, element.topic?.mine === index + 1 ? 0 : index + 1);
    return { button, image, number };
  });
  const root = create('div', { role: 'group' }, buttons[0].button, score, buttons[1].button);

  return makeView(element, {
    root,
    css,
    shown: () => ARROWS.length,
    draw({ options, mine, known }) {
      const { language } = element;
      const names = namesOf(element, 'Up,Down');
      const both = element.getAttribute('show') === 'both';
      update(root, { 'aria-label': textOf(element, 'label', 'Vote') });
      update(score, { hidden: both, textContent: known ? format(options[0] - options[1], language).short : '‒' });
      buttons.forEach(({ button, image, number }, index) => {
        update(button, { 'aria-pressed': String(mine === index + 1), disabled: isSet(element, 'closed') });
        update(image, { 'aria-label': names[index] ?? '' });
        update(number, { hidden: !both, textContent: known ? format(options[index], language).short : '‒' });
      });
    },
  });
}
