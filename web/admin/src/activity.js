/**
 * The plot of contributions per minute. The library is a separate script that the first plot loads.
 * If it fails to load or throws, the page shows only the summary.
 */
import { make } from './dom.js';
import { counted, minuteTime, number, timeLabels } from './format.js';

/** The plot's height, in CSS pixels. */
const HEIGHT = 220;

/** @typedef {{ site: string, minute: number, writes: number }} Activity */

/**
 * Returns the minutes of a span that ends now, and the number of contributions to a site, or to all
 * if site is empty, in each.
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

/** Makes a plot. `show` sets its data, `release` releases it. */
export function makeActivity() {
  const canvas = make('div', { class: 'plot', role: 'img', 'aria-label': 'Contributions per minute' });
  const summary = make('p', { class: 'hint' });
  /** @type {any} the library's class, once it is loaded */
  let Plot;
  /** @type {any} */
  let plot;
  /** @type {[times: number[], writes: number[]] | undefined} */
  let data;

  const build = () => {
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
        axes: [{ ...axis, space: 72, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => timeLabels(ticks) }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(number) }],
        series: [{}, { stroke: color, width: 2, fill: `color-mix(in srgb, ${color} 14%, transparent)`, points: { show: false } }],
      },
      data,
      canvas,
    );
  };

  /**
   * Runs work that uses the library. After an error the plot stays hidden.
   * @param {() => void} work
   */
  const guard = (work) => {
    if (canvas.hidden) return;
    try {
      work();
    } catch (error) {
      fail(error);
    }
  };
  const fail = (/** @type {unknown} */ error) => {
    canvas.hidden = true;
    console.warn('Cannot draw the plot:', error);
  };

  const draw = () => {
    if (!Plot || !data) return;
    if (plot) plot.setData(data);
    else if (canvas.clientWidth) build();
  };
  import('./plot.js').then((library) => {
    Plot = library.default;
    guard(draw);
  }, fail);

  const rebuild = () => guard(() => plot && build());
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', rebuild);
  const size = new ResizeObserver(() => guard(() => plot && canvas.clientWidth && plot.setSize({ width: canvas.clientWidth, height: HEIGHT })));
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
      data = [times, writes];
      guard(draw);
      const peak = Math.max(...writes);
      const text = peak
        ? `${counted(writes.reduce((a, b) => a + b), 'contribution')} in this period. Peak: ${number(peak)} per minute at ${minuteTime(new Date(times[writes.indexOf(peak)] * 1000).toISOString())}.`
        : 'No contributions in this period.';
      if (summary.textContent !== text) summary.textContent = text;
    },
    release() {
      size.disconnect();
      scheme.removeEventListener('change', rebuild);
      guard(() => plot?.destroy());
      // A library that loads later draws nothing.
      canvas.hidden = true;
    },
  };
}
