/** The bars of a choice topic's options. */
import { make } from './dom.js';
import { number } from './format.js';

/** Makes a list with a bar for each option. `show` sets the numbers. */
export function makeOptions() {
  const list = make('ol', { class: 'options', hidden: true });
  /** @param {number[]} [options] */
  const show = (options = []) => {
    // A poll uses the first options of its metric: the others are left out.
    const used = options.reduce((last, count, index) => (count > 0 ? index + 1 : last), 2);
    options = options.slice(0, used);
    list.hidden = options.length === 0;
    const total = Math.max(1, options.reduce((sum, count) => sum + count, 0));
    list.replaceChildren(
      ...options.map((count, index) =>
        make('li', {}, `${index + 1}`, make('meter', { max: total, value: count, 'aria-hidden': 'true' }), make('span', { class: 'count' }, number(count))),
      ),
    );
  };
  return { list, show };
}
