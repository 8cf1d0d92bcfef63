/** What was done to the numbers. */
import { read } from './call.js';
import { make, makeTable } from './dom.js';
import { exactTime } from './format.js';

/** How many entries a page of the log has. */
const PAGE = 50;

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showLog(place, signal) {
  const { table, body, row } = makeTable('What was done', [{ name: 'When' }, { name: 'Who' }, { name: 'What' }, { name: 'To what' }, { name: 'In detail' }]);
  table.classList.add('whole');
  const state = make('p', { class: 'hint', role: 'status' });
  let before = '';
  const load = async () => {
    older.hidden = true;
    try {
      const { entries, next } = await read('audit', { before, limit: PAGE }, signal);
      body.append(...entries.map((/** @type {any} */ e) => row(make('time', { datetime: e.at }, exactTime(e.at)), e.actor, e.action, make('span', { class: 'name' }, e.target), e.detail)));
      before = next;
      older.hidden = !next;
      state.textContent = body.children.length ? '' : 'Nothing was done yet.';
    } catch (error) {
      if (!signal.aborted) state.textContent = /** @type {Error} */ (error).message;
    }
  };
  const older = make('button', { type: 'button', class: 'quiet', hidden: true, click: load }, 'Older');
  place.append(
    make('h1', {}, 'Log'),
    make('p', { class: 'lede' }, 'Everything that was done to the numbers but by visitors. Nothing is ever removed from it.'),
    make('section', { class: 'sheet', 'aria-label': 'Entries' }, table, state, older),
  );
  load();
}
