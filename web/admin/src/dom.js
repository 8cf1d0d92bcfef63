/**
 * Makes an element. A property that is a function listens to the event of its name; true is an
 * attribute without value, and false, undefined or null none.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean | undefined | null | ((event: any) => void)>} [attributes]
 * @param {(Node | string | number | undefined | null | false)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false).map((child) => (typeof child === 'number' ? String(child) : /** @type {Node | string} */ (child))));
  return element;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {boolean} [number] is set to the right, in figures of one width
 * @property {boolean} [hidden] has a name for those who do not see the table's shape alone: its cells have buttons
 */

/**
 * Makes a table that a narrow screen shows as cards: each value with its column's name. The roles
 * are written out, since a table that is no table to the style sheet is none to a screen reader.
 * @param {string} caption
 * @param {Column[]} columns
 */
export function makeTable(caption, columns) {
  const body = make('tbody', { role: 'rowgroup' });
  const classes = columns.map(({ number, hidden }, i) => (number ? `number ${columns[i + 1] && !columns[i + 1].number ? 'last' : ''}` : hidden && 'actions'));
  const head = columns.map(({ name, hidden }, i) =>
    make('th', { scope: 'col', role: 'columnheader', class: classes[i] }, hidden ? make('span', { class: 'unseen' }, name) : name),
  );
  const table = make(
    'table',
    { role: 'table' },
    make('caption', { class: 'unseen' }, caption),
    make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...head)),
    body,
  );
  /** @param {(Node | string | number | undefined)[]} cells of which the first names the row */
  const row = (...cells) =>
    make(
      'tr',
      { role: 'row' },
      ...cells.map((cell, i) => {
        const { name, hidden } = columns[i];
        const shown = { class: classes[i], 'data-name': hidden ? undefined : name };
        return i === 0
          ? make('th', { scope: 'row', role: 'rowheader', ...shown }, cell)
          : make('td', { role: 'cell', ...shown }, cell);
      }),
    );
  return { table, body, row };
}

/**
 * Makes a field with its label above.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
export const field = (label, control, hint) => make('label', { class: 'field' }, make('span', {}, label), control, hint && make('small', {}, hint));

/**
 * @param {Record<string, any>} attributes
 * @param {[value: string, label: string][]} options
 * @param {string} [chosen]
 */
export function choice(attributes, options, chosen) {
  const select = make('select', attributes, ...options.map(([value, label]) => make('option', { value }, label)));
  if (chosen !== undefined) select.value = chosen;
  return select;
}

/**
 * Tells what was done, to eyes and screen readers alike.
 * @param {string} text
 */
export function say(text) {
  const said = find('said');
  said.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => said.replaceChildren(), SAID);
}

/** How long what was done stays on the screen, in milliseconds: long enough to read a sentence twice. */
const SAID = 8000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;

/**
 * Repeats work until the signal: at once, then pause after each end, and never while nobody looks.
 * @param {number} pause in milliseconds
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
export function repeat(pause, signal, work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let busy = false;
  const turn = async () => {
    clearTimeout(timer);
    if (busy || signal.aborted || document.hidden) return;
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(turn, pause);
    }
  };
  document.addEventListener('visibilitychange', turn, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  turn();
}
