/**
 * Makes an element. A function is a listener of the event of its name, true an attribute without
 * a value. False, undefined and null are left out.
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
 * @property {boolean} [number] aligned to the end, with tabular figures
 * @property {boolean} [hidden] has buttons; only screen readers get its name
 */

/**
 * Makes a table that a narrow screen shows as cards, with the column's name beside each value. It
 * has explicit roles, since browsers remove a table's own ones when the style sheet changes its
 * display.
 * @param {string} caption
 * @param {Column[]} columns
 */
export function makeTable(caption, columns) {
  const body = make('tbody', { role: 'rowgroup' });
  const classes = columns.map(({ number, hidden }, i) => (number ? `number ${columns[i + 1] && !columns[i + 1].number ? 'last' : ''}` : hidden && 'actions'));
  const head = columns.map(({ name, hidden }, i) =>
    make('th', { scope: 'col', role: 'columnheader', class: classes[i] }, hidden ? make('span', { class: 'visually-hidden' }, name) : name),
  );
  const table = make(
    'table',
    { role: 'table' },
    make('caption', { class: 'visually-hidden' }, caption),
    make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...head)),
    body,
  );
  /** @param {(Node | string | number | undefined)[]} cells the first is the row's header */
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

/** Attributes of inputs for names, which no browser may complete or correct. */
export const plainText = { autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' };

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
 * Shows a message and announces it to screen readers.
 * @param {string} text
 */
export function showToast(text) {
  const toast = find('toast');
  toast.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.replaceChildren(), TOAST_TIME);
}

/** How long a message is shown, in milliseconds: long enough to read it twice. */
const TOAST_TIME = 8000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let toastTimer;

/**
 * Shows the message of an error.
 * @param {Error} error
 */
export const showError = (error) => showToast(error.message);

/**
 * Runs work, and shows its error in a place of the view until the signal.
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
export async function reportTo(place, signal, work) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) place.textContent = /** @type {Error} */ (error).message;
  }
}

/**
 * Returns a function that aborts the signal of its previous call and starts work with a new signal, so
 * that an older answer or error never replaces a newer one.
 * @template T
 * @param {AbortSignal} signal ends the last work
 * @param {(signal: AbortSignal) => T} work
 */
export function latest(signal, work) {
  let current = new AbortController();
  signal.addEventListener('abort', () => current.abort());
  return () => {
    current.abort();
    current = new AbortController();
    if (signal.aborted) current.abort(); // a dialog may end after its view
    return work(current.signal);
  };
}

/**
 * Runs work at once and then with a pause after each end, until the signal. Hidden pages pause.
 * @param {number} pause in milliseconds
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
export function repeat(pause, signal, work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isRunning = false;
  const run = async () => {
    clearTimeout(timer);
    if (isRunning || signal.aborted || document.hidden) return;
    isRunning = true;
    try {
      await work();
    } finally {
      isRunning = false;
      if (!signal.aborted) timer = setTimeout(run, pause);
    }
  };
  document.addEventListener('visibilitychange', run, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  run();
}
