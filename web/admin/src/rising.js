/** The topics that gained most in the last 24 hours. */
import { getPublic, session } from './client.js';
import { choice, field, latest, make, repeat } from './dom.js';
import { signed } from './format.js';
import { linkToHistory } from './link.js';
import { METRICS } from './topics.js';

/** Milliseconds between two calls. */
const INTERVAL = 15_000;

/** Topics that are shown. */
const SHOWN = 5;

/** @typedef {{ topic: string, gain: number }} Rise */

/** @param {AbortSignal} signal */
export function makeRising(signal) {
  const list = make('ol', { class: 'top' });
  const status = make('p', { class: 'hint', role: 'status' });
  const load = latest(signal, async (current) => {
    /** @type {Rise[]} */
    let rises = [];
    let text = '';
    try {
      const answers = await Promise.all(session.sites.map((site) => getPublic(`top/${site}/${metric.value}`, { since: '24h', limit: SHOWN }, current)));
      rises = answers.flatMap(({ top }) => top).sort((a, b) => b.gain - a.gain).slice(0, SHOWN);
      if (!rises.length) text = 'No topic of this metric gained anything.';
    } catch (error) {
      text = /** @type {Error} */ (error).message;
    }
    if (current.aborted) return;
    const rows = rises.map(({ topic, gain }) => make('li', {}, make('a', { href: linkToHistory(topic) }, topic), make('span', { class: 'count' }, signed(gain))));
    if (list.textContent !== rows.map((row) => row.textContent).join('')) list.replaceChildren(...rows);
    if (status.textContent !== text) status.textContent = text;
  });
  const metric = choice({ change: load }, METRICS.map((name) => [name, name]));
  repeat(INTERVAL, signal, load);
  return make(
    'section',
    { class: 'sheet', 'aria-labelledby': 'rising' },
    make('div', { class: 'head' }, make('div', {}, make('h2', { id: 'rising' }, 'Rising'), make('p', { class: 'hint' }, 'Gains of the last 24 hours')), make('div', { class: 'fields' }, field('Metric', metric))),
    list,
    status,
  );
}
