/**
 * A plot of numbers over time. The library is a separate script that the first plot loads. If it fails to load or throws,
 * the page shows no plot.
 */
import { make } from './dom.js';
import { dayLabels, number, timeLabels } from './format.js';

/** The plot's height, in CSS pixels. */
const HEIGHT = 220;

/** The least width of a span that is marked, in CSS pixels. */
const MIN_SPAN = 3;

/** Distances between the labels of an axis of days, in seconds. */
const DAYS = [1, 2, 7, 14, 30, 60, 90].map((days) => days * 86_400);

/**
 * @typedef {object} Data
 * @property {number[]} times in seconds since the Unix epoch
 * @property {number[]} values
 * @property {[from: number, to: number][]} [spans] that are marked, in seconds
 */

/**
 * Makes a plot. `show` sets its data, `release` releases it.
 * @param {string} name of the plot, for screen readers
 * @param {object} [options]
 * @param {boolean} [options.byDay] each value is that of a day of UTC
 * @param {boolean} [options.fromZero] the axis of values begins at 0
 */
export function makePlot(name, { byDay = false, fromZero = true } = {}) {
  const canvas = make('div', { class: 'plot', role: 'img', 'aria-label': name });
  /** @type {any} the library's class, once it is loaded */
  let Plot;
  /** @type {any} */
  let plot;
  /** @type {Data | undefined} */
  let data;

  /** Marks the spans below the line. */
  const drawSpans = (/** @type {any} */ { ctx, bbox, valToPos }) => {
    ctx.fillStyle = `color-mix(in srgb, ${getComputedStyle(canvas).outlineColor} 25%, transparent)`;
    ctx.beginPath();
    for (const [from, to] of data?.spans ?? []) {
      const left = Math.max(bbox.left, valToPos(from, 'x', true));
      const right = Math.min(bbox.left + bbox.width, Math.max(valToPos(to, 'x', true), left + MIN_SPAN * devicePixelRatio));
      if (right > left) ctx.rect(left, bbox.top, right - left, bbox.height);
    }
    ctx.fill(); // once: spans that overlap are no darker
  };

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
        hooks: { drawClear: [drawSpans] },
        scales: {
          y: {
            range: (/** @type {any} */ _, /** @type {number} */ least, /** @type {number} */ most) => {
              const from = fromZero ? 0 : (least ?? 0);
              return [from, Math.max(from + 4, Math.ceil(from + ((most ?? 0) - from) * 1.15))];
            },
          },
        },
        ...(byDay && { tzDate: (/** @type {number} */ time) => Plot.tzDate(new Date(time * 1000), 'Etc/UTC') }),
        axes: [{ ...axis, space: 72, ...(byDay && { incrs: DAYS }), values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => (byDay ? dayLabels : timeLabels)(ticks) }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(number) }],
        series: [{}, { stroke: color, width: 2, fill: `color-mix(in srgb, ${color} 14%, transparent)`, points: { show: false } }],
      },
      [data?.times, data?.values],
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
    if (plot) plot.setData([data.times, data.values]);
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
    /** @param {Data} shown */
    show(shown) {
      data = shown;
      guard(draw);
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
