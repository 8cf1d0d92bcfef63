/** The plot of contributions per minute. */
import { make } from './dom.js';
import { counted, minuteTime, number } from './format.js';
import { makePlot } from './lineplot.js';

/** @typedef {{ site: string, minute: number, writes: number }} Activity */

/**
 * Returns the minutes of a span that ends now, and the number of contributions to a site, or to all
 * if site is empty, in each.
 * @param {Activity[]} activity
 * @param {string} site
 * @param {number} span in minutes
 * @param {number} now in minutes since the Unix epoch
 */
function minutesOf(activity, site, span, now) {
  const from = now - span + 1;
  const writes = Array(span).fill(0);
  for (const each of activity) if ((!site || each.site === site) && each.minute >= from && each.minute <= now) writes[each.minute - from] += each.writes;
  return { times: writes.map((_, i) => (from + i) * 60), writes };
}

/** Makes the plot with a summary. `show` sets its data, `release` releases it. */
export function makeActivity() {
  const { canvas, show, release } = makePlot('Contributions per minute');
  const summary = make('p', { class: 'hint' });
  return {
    canvas,
    summary,
    release,
    /**
     * @param {Activity[]} activity
     * @param {string} site
     * @param {number} span in minutes
     */
    show(activity, site, span) {
      const { times, writes } = minutesOf(activity, site, span, Math.floor(Date.now() / 60_000));
      show({ times, values: writes });
      const peak = Math.max(...writes);
      const text = peak
        ? `${counted(writes.reduce((a, b) => a + b), 'contribution')} in this period. Peak: ${number(peak)} per minute at ${minuteTime(new Date(times[writes.indexOf(peak)] * 1000).toISOString())}.`
        : 'No contributions in this period.';
      if (summary.textContent !== text) summary.textContent = text;
    },
  };
}
