/** The past of a topic: its count at the end of each hour or day, and what was reverted. */
import { encodeTopic } from '../../src/assert.js';
import { get, getPublic } from './client.js';
import { choice, field, latest, make, makeTable, repeat, reportTo } from './dom.js';
import { follow } from './follow.js';
import { dayTime, exactTime, minuteTime, number, signed } from './format.js';
import { makePlot } from './lineplot.js';
import { linkTo } from './link.js';

/** Milliseconds between two calls: a new hour may have begun, or another owner reverted contributions. */
const INTERVAL = 60_000;

/** Values are the period and the number of points. */
const PERIODS = /** @type {[string, string][]} */ ([['hour 48', 'last 48 hours'], ['hour 192', 'last 8 days, by hour'], ['day 30', 'last 30 days'], ['day 90', 'last 90 days'], ['day 400', 'last 400 days']]);

/**
 * @typedef {{ at: string, count: number }} Point
 * @typedef {{ at: string, actor: string, from: string, to: string, detail: string }} Revert
 */

/** How long an hour and a day are, in seconds. */
const LENGTHS = /** @type {Record<string, number>} */ ({ hour: 3600, day: 86_400 });

/** @param {string} time in RFC 3339 */
const seconds = (time) => Date.parse(time) / 1000;

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 * @param {URLSearchParams} query of the URL
 */
export function showHistory(place, signal, query) {
  const topic = query.get('topic') ?? '';
  const count = make('strong', { class: 'count' });
  const summary = make('p', { class: 'hint', role: 'status' });
  const { table, body, row } = makeTable('Counts', [{ name: 'Hour or day' }, { name: 'Count', number: true }, { name: 'Change', number: true }]);
  const reverted = make('ul', { class: 'reverts' });
  const reverts = make('section', { class: 'sheet', 'aria-labelledby': 'reverted', hidden: true }, make('h2', { id: 'reverted' }, 'Reverted'), make('p', { class: 'hint' }, 'The plot marks when the contributions came. They are no longer in its line.'), reverted);
  /** @type {ReturnType<typeof makePlot> | undefined} */
  let plot;
  let drawn = ''; // the period of plot
  /** @type {{ points: Point[], reverts: Revert[] } | undefined} */
  let data;

  const draw = () => {
    if (!data) return;
    const { points } = data;
    const by = period.value.split(' ')[0];
    const timeOf = (/** @type {string} */ time) => (by === 'day' ? `on ${dayTime(time)}` : `at ${minuteTime(time)}`);
    if (drawn !== by) {
      plot?.release();
      const next = makePlot(`Count of ${topic}`, { byDay: by === 'day', fromZero: false });
      (plot?.canvas ?? canvas).replaceWith(next.canvas);
      [plot, drawn] = [next, by];
    }
    const [first, last] = [points[0], points[points.length - 1]];
    if (plot) plot.canvas.hidden = !first;
    if (!first) return void (summary.textContent = 'Nobody has contributed to this topic.');
    const now = Date.now() / 1000;
    plot?.show({
      // A point is the count at the end of its period, and the last one the present.
      times: points.map(({ at }) => Math.min(seconds(at) + LENGTHS[by], now)),
      values: points.map((point) => point.count),
      spans: data.reverts.map(({ from, to }) => [seconds(from), Math.min(seconds(to), now)]),
    });
    const most = points.reduce((highest, point) => (point.count > highest.count ? point : highest));
    const text = `From ${number(first.count)} ${timeOf(first.at)} to ${number(last.count)} now: ${signed(last.count - first.count)}. Highest: ${number(most.count)} ${timeOf(most.at)}.`;
    if (summary.textContent !== text) summary.textContent = text;
    if (numbers.open) list();
  };

  const list = () => {
    const points = data?.points ?? [];
    const timeOf = drawn === 'day' ? dayTime : minuteTime;
    body.replaceChildren(...points.map(({ at, count }, i) => row(timeOf(at), number(count), i ? signed(count - points[i - 1].count) : '')).reverse());
  };

  const load = latest(signal, (current) =>
    reportTo(summary, current, async () => {
      const [by, last] = period.value.split(' ');
      const hours = Number(last) * (by === 'day' ? 24 : 1);
      const [history, log] = await Promise.all([
        getPublic(`history/${encodeTopic(topic)}`, { by, last }, current),
        get('reverts', { topic, since: new Date(Date.now() - hours * 3_600_000).toISOString() }, current),
      ]);
      data = { points: history.points, reverts: log.reverts };
      draw();
      reverts.hidden = data.reverts.length === 0;
      reverted.replaceChildren(...data.reverts.map((each) => make('li', {}, make('strong', {}, `${each.detail}.`), ` They came from ${minuteTime(each.from)} to ${minuteTime(each.to)}. `, make('span', { class: 'hint' }, `${each.actor}, ${exactTime(each.at)}`))));
    }),
  );
  const period = choice({ change: load }, PERIODS, query.get('period') ?? 'day 30');
  const canvas = make('div', { class: 'plot' });
  const numbers = make('details', { toggle: () => numbers.open && list() }, make('summary', {}, 'All numbers'), table);

  place.append(
    make('h1', {}, topic),
    make('p', { class: 'lede' }, 'Count now: ', count, '. Days begin at midnight UTC.'),
    make('section', { class: 'sheet', 'aria-label': 'History' }, make('div', { class: 'head' }, make('div', { class: 'fields' }, field('Period', period))), canvas, summary, numbers),
    reverts,
    make('p', { class: 'hint' }, make('a', { href: linkTo(topic) }, 'Edit or export this topic')),
  );
  signal.addEventListener('abort', () => plot?.release());
  follow(topic, signal, (now) => {
    if (count.textContent !== number(now)) count.textContent = number(now);
    const last = data?.points.at(-1);
    if (!last || last.count === now) return;
    last.count = now;
    draw();
  });
  repeat(INTERVAL, signal, load);
}
