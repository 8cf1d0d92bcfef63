/** The plot of contributions a minute. */
// Not bundled: it stands beside this script.
import Plot from './plot.js';
import { make } from './dom.js';
import { counted, minuteTime, number } from './format.js';

/** The plot's height, in CSS pixels. */
const HEIGHT = 220;

/** @typedef {{ site: string, minute: number, writes: number }} Activity */

/**
 * Returns the minutes of a span that ends now, and how many contributions to the site changed in
 * each; an empty site is all of them.
 * @param {Activity[]} activity
 * @param {string} site
 * @param {number} span in minutes
 * @param {number} now in minutes since the Unix epoch
 */
export function minutesOf(activity, site, span, now) {
  const from = now - span + 1;
  const writes = Array(span).fill(0);
  for (const each of activity) if ((!site || each.site === site) && each.minute >= from && each.minute <= now) writes[each.minute - from] += each.writes;
  return { times: writes.map((_, i) => (from + i) * 60), writes };
}

/** Makes a plot; `show` gives it numbers, `end` releases it. */
export function makeActivity() {
  const canvas = make('div', { class: 'plot', role: 'img', 'aria-label': 'Contributions a minute' });
  const summary = make('p', { class: 'hint' });
  /** @type {any} */
  let plot;

  const build = (/** @type {[number[], number[]]} */ data) => {
    const { color, borderTopColor: line, outlineColor: soft, fontFamily } = getComputedStyle(canvas);
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `12px ${fontFamily}` };
    plot?.destroy();
    plot = new Plot(
      {
        width: canvas.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        scales: { y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, Math.max(4, Math.ceil((most ?? 0) * 1.15))] } },
        axes: [{ ...axis, space: 64 }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(number) }],
        series: [{}, { stroke: color, width: 2, fill: `color-mix(in srgb, ${color} 14%, transparent)`, points: { show: false } }],
      },
      data,
      canvas,
    );
  };

  const rebuild = () => plot && build(plot.data);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', rebuild);
  const size = new ResizeObserver(() => plot && canvas.clientWidth && plot.setSize({ width: canvas.clientWidth, height: HEIGHT }));
  size.observe(canvas);

  return {
    canvas,
    summary,
    /**
     * @param {Activity[]} activity
     * @param {string} site
     * @param {number} span in minutes
     */
    show(activity, site, span) {
      const { times, writes } = minutesOf(activity, site, span, Math.floor(Date.now() / 60_000));
      if (plot) plot.setData([times, writes]);
      else if (canvas.clientWidth) build([times, writes]);
      const most = Math.max(...writes);
      const text = most
        ? `${counted(writes.reduce((a, b) => a + b), 'contribution')} changed in this time; the most in a minute were ${number(most)}, at ${minuteTime(new Date(times[writes.indexOf(most)] * 1000).toISOString())}.`
        : 'Nothing changed in this time.';
      if (summary.textContent !== text) summary.textContent = text;
    },
    end() {
      size.disconnect();
      scheme.removeEventListener('change', rebuild);
      plot?.destroy();
    },
  };
}
