/** Formats numbers and times in the user's language and time zone. */

const numbers = new Intl.NumberFormat();
const times = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const minutes = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });

/** @param {number} n */
export const number = (n) => numbers.format(n);

/** @param {number} n */
export const signed = (n) => (n > 0 ? `+${number(n)}` : number(n));

/**
 * Returns the number of a topic, or the sum of those of its options.
 * @param {number | number[]} value
 */
export const sum = (value) => [value].flat().reduce((total, each) => total + each, 0);

/**
 * Formats the number of a topic, or the numbers of its options.
 * @param {number | number[]} value
 * @param {(n: number) => string} [format]
 */
export const numbersOf = (value, format = number) => [value].flat().map(format).join(' · ');

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const counted = (n, one, many = one + 's') => `${number(n)} ${n === 1 ? one : many}`;

/** Units of size, each 1,000 times the one before. */
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

/** @param {number} n */
export function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < UNITS.length - 1; unit++) n /= 1000;
  return new Intl.NumberFormat(undefined, { style: 'unit', unit: UNITS[unit], unitDisplay: unit ? 'short' : 'long', maximumFractionDigits: n < 10 && unit ? 1 : 0 }).format(n);
}

/** @param {string} time in RFC 3339 */
export const exactTime = (time) => times.format(new Date(time));

/** @param {string} time in RFC 3339 */
export const minuteTime = (time) => minutes.format(new Date(time));

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const days = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });

/**
 * Labels the ticks of a time axis: with their time, the first one and each new day with the day below it.
 * @param {number[]} ticks in seconds since the Unix epoch
 */
export function timeLabels(ticks) {
  let last = '';
  return ticks.map((tick) => {
    const date = new Date(tick * 1000);
    const day = days.format(date);
    const label = day === last ? clock.format(date) : `${clock.format(date)}\n${day}`;
    last = day;
    return label;
  });
}

const utcDays = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone: 'UTC' });
const shortUtcDays = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' });

/** Formats a day of UTC. @param {string} time in RFC 3339 */
export const dayTime = (time) => utcDays.format(new Date(time));

/**
 * Labels the ticks of an axis of days of UTC.
 * @param {number[]} ticks in seconds since the Unix epoch
 */
export const dayLabels = (ticks) => ticks.map((tick) => shortUtcDays.format(new Date(tick * 1000)));

/**
 * Replaces the times in a text of the service, which are in UTC.
 * @param {string} text
 */
export const localTimes = (text) => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, exactTime);

/**
 * Writes the times and the counts in a text of the service as the reader's locale does.
 * @param {string} text
 */
export const localDetail = (text) =>
  localTimes(text).replace(/(?<=(?:count|seed|adjustment|→) )-?\d+\b|\b\d+(?= (?:contribution|topic|setting))/g, (n) => number(Number(n)));

/** The units of relative times: from how many seconds on, and of how many seconds. */
const STEPS = /** @type {[number, number, Intl.RelativeTimeFormatUnit][]} */ ([
  [2 * 86_400, 86_400, 'day'],
  [5400, 3600, 'hour'],
  [90, 60, 'minute'],
  [0, 1, 'second'],
]);

/** @param {string} time in RFC 3339 */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  const [, length, unit] = STEPS.find(([from]) => seconds >= from) ?? STEPS[STEPS.length - 1];
  return relative.format(-Math.round(seconds / length), unit);
}
