/** The parts that the views of polls, ratings and votes share. */
import { countsOf } from './counts.js';
import { create, update } from './dom.js';
import { CHANGE_INTERVAL } from './motion.js';

/** @typedef {import('./element.js').TallyElement} TallyElement */

/**
 * @typedef {object} Results the numbers that a view shows
 * @property {number[]} options the count of each shown option
 * @property {number} total their sum
 * @property {number} mine the visitor's option, from 1 on; 0 without one
 * @property {boolean} known the numbers are known
 */

const styles =
  ':host{--b:var(--tally-border,#888)}' +
  'button{all:unset;cursor:pointer}button:hover{color:var(--a)}' +
  ':is(button,input):focus-visible{outline:2px solid var(--a);outline-offset:2px}' +
  '[part=remove],[part=send]{text-decoration:underline;font-size:.9em}';

/**
 * Returns the numbers of an element: the service's, or those in its HTML.
 * @param {TallyElement} element
 * @param {number} shown how many options the element shows
 * @returns {Results}
 */
function resultsOf({ topic, count }, shown) {
  const { mine = 0, confirmed = 0, options = count?.split(',').map(Number) } = topic ?? {};
  const counts = countsOf({ options, mine, confirmed }, shown);
  return { options: counts, total: counts.reduce((sum, each) => sum + each, 0), mine, known: !!options };
}

/**
 * Adds the style sheet and the root of a view to an element's shadow tree, and returns the view.
 * @param {TallyElement} element
 * @param {object} parts
 * @param {HTMLElement} parts.root
 * @param {string} parts.css
 * @param {() => number} parts.shown returns how many options the element shows
 * @param {(results: Results) => void} parts.draw writes the results into root
 * @returns {import('./lazyelement.js').View}
 */
export function makeView(element, { root, css, shown, draw }) {
  const shadow = /** @type {ShadowRoot} */ (element.shadowRoot);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles + css);
  shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
  shadow.prepend(root);

  let last = ''; // the numbers on screen
  let lastMine = 0;
  /** @type {number | undefined} */
  let lastCount;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while others may not change the numbers again */
  let rest;

  /** @type {import('./lazyelement.js').View['render']} */
  const render = (reason) => {
    const hidden = !element.topic || !!element.topic.failure;
    update(root, { hidden });
    update(element.fallback, { hidden: !hidden });
    if (hidden) return;
    const results = resultsOf(element, shown());
    const numbers = results.options.join();
    const byOthers = reason === 'server' && !!last && numbers !== last && results.mine === lastMine;
    if (byOthers && (rest || element.paused)) return;
    draw(results);
    const { count } = /** @type {import('./topic.js').Topic} */ (element.topic);
    if (byOthers) {
      // The element itself reports a change of the count.
      if (count === lastCount) element.emit('change', { count, mine: results.mine, source: 'server' });
      rest = setTimeout(() => {
        rest = undefined;
        if (element.isConnected) render('server');
      }, CHANGE_INTERVAL);
    }
    if (results.known) [last, lastMine, lastCount] = [numbers, results.mine, count];
  };

  return { render };
}

/**
 * Returns an attribute of an element, or a default.
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} usual
 */
export const textOf = (element, name, usual) => element.getAttribute(name) ?? usual;

/**
 * Returns the names of the options.
 * @param {HTMLElement} element
 * @param {string} usual
 */
export const namesOf = (element, usual) => textOf(element, 'options', usual).split(',').map((name) => name.trim());

/**
 * Sends a choice, 0 for none, and shows it at once.
 * @param {TallyElement} element
 * @param {number} option
 */
export function choose(element, option) {
  element.resolve(); // the page may have changed without an event
  if (element.topic && element.topic.mine !== option) element.topic.contribute(option);
}

/**
 * Makes a group of radio buttons that sends a choice by a click, the space bar, Enter or the send button. Arrow keys only
 * move in the group: they must not send (WCAG 3.2.2).
 * @param {TallyElement} element
 * @param {HTMLElement} group
 */
export function makeRadios(element, group) {
  let byArrow = false;
  let picked = 0; // by arrow keys, and not sent
  let chosen = 0;
  const send = create('button', { part: 'send', type: 'button' });
  const remove = create('button', { part: 'remove', type: 'button' });
  /** Checks the visitor's option, or the one that is picked. @param {number} mine */
  const mark = (mine) => {
    if (mine !== chosen) picked = 0;
    chosen = mine;
    for (const input of group.querySelectorAll('input')) input.checked = Number(input.value) === (picked || mine);
    update(send, { hidden: !picked || picked === mine, textContent: textOf(element, 'send', 'Vote') });
    update(remove, { hidden: !mine, textContent: textOf(element, 'withdraw', 'Remove my vote') });
  };
  group.onkeydown = ({ key, target }) => {
    byArrow = key.startsWith('Arrow');
    if (/^(Enter| )$/.test(key) && target instanceof HTMLInputElement) choose(element, Number(target.value));
  };
  group.onkeyup = group.onpointerdown = () => {
    byArrow = false;
  };
  group.onclick = ({ target }) => {
    if (!(target instanceof HTMLInputElement)) return;
    if (!byArrow) return choose(element, Number(target.value));
    picked = Number(target.value);
    mark(chosen);
  };
  send.onclick = () => choose(element, picked);
  remove.onclick = () => {
    choose(element, 0);
    // The button is gone: the focus stays in the group.
    group.querySelector('input')?.focus();
  };
  return { send, remove, mark };
}
