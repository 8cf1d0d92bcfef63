/** The audit log. */
import { get } from './client.js';
import { make, makeTable, reportTo } from './dom.js';
import { exactTime, localDetail, localTimes } from './format.js';

/** Entries on a page. */
const PAGE = 50;

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showAudit(place, signal) {
  const { table, body, row } = makeTable('Audit log', [{ name: 'Time' }, { name: 'Who' }, { name: 'Action' }, { name: 'Target' }, { name: 'Details' }]);
  const status = make('p', { class: 'hint', role: 'status' });
  let before = '';
  const load = async () => {
    older.hidden = true;
    await reportTo(status, signal, async () => {
      const { entries, next } = await get('audit', { before, limit: PAGE }, signal);
      body.append(...entries.map((/** @type {any} */ e) => row(make('time', { datetime: e.at }, exactTime(e.at)), e.actor, e.action, make('span', { class: 'name long' }, localTimes(e.target)), make('span', { class: 'long' }, localDetail(e.detail)))));
      before = next;
      status.textContent = body.children.length ? '' : 'No entries yet.';
    });
    older.hidden = !before;
  };
  const older = make('button', { type: 'button', class: 'quiet', hidden: true, click: load }, 'Older entries');
  place.append(
    make('h1', {}, 'Audit log'),
    make('p', { class: 'lede' }, 'Every change by an owner, newest first. An action of several steps has two entries: one when it begins, one with its result. Entries are never removed.'),
    make('section', { class: 'sheet', 'aria-label': 'Entries' }, table, status, older),
  );
  load();
}
