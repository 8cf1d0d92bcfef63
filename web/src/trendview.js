/** The view of `<tally-trend>`: a second script, which the first such element loads. */
import { encodeTopic } from './assert.js';
import { create, update } from './dom.js';
import { localeOf } from './locale.js';
import { ROLL_DURATION, reducedMotion } from './motion.js';

/** How often a visible line is loaded again, in milliseconds: a new day begins, and the past may be corrected. */
const INTERVAL = 300_000;

/** The same while the service or the network is away. */
const RETRY_INTERVAL = 15_000;

/** How many days a line has without a valid `days`. */
const DEFAULT_DAYS = 30;

/** The service keeps the count of each day for at most this many days. */
const MAX_DAYS = 400;

/** The service keeps the count of each hour for this many days. */
const MAX_DAYS_OF_HOURS = 8;

/** The side of the coordinate system. It is stretched to the element's size. */
const SIDE = 100;

const css =
  ':host{inline-size:10em;max-inline-size:100%;block-size:2.5em;padding:.3em;box-sizing:border-box;vertical-align:middle}' +
  // The line reaches into the padding, and is as thick everywhere.
  '[part=trend]{display:block;inline-size:100%;block-size:100%;overflow:visible;fill:none;stroke:var(--a);stroke-linecap:round;stroke-linejoin:round}' +
  'path{vector-effect:non-scaling-stroke}[part=line]{stroke-width:.12em}[part=point]{stroke-width:.5em}[part=axis]{stroke:currentColor;stroke-width:1px;opacity:.3}[part=area]{stroke:none;fill:color-mix(in srgb,var(--a) 15%,#0000)}' +
  // The numbers below a line are no wider than the line, which may be at the edge of a window.
  '.note{inset-inline:0;text-align:center}' +
  '[part=trend]:focus-visible{outline:2px solid var(--a);outline-offset:.3em}' +
  '@media(forced-colors:active){[part=trend]{stroke:CanvasText;outline-color:Highlight!important}[part=point]{stroke:Highlight}[part=area]{fill:none}}';

/** @typedef {{ at: string, count: number }} Point */

/**
 * Returns a line in words: its time, its last count, and how much the count grew.
 * @param {Point[]} points
 * @param {number[]} counts as they are shown
 * @param {boolean} byHour
 * @param {string} [lang] a language tag; an invalid one means the browser's language
 * @returns {string}
 */
function describe(points, counts, byHour, lang) {
  const [first, last] = [counts[0], counts[counts.length - 1]];
  const locale = localeOf(lang);
  const number = new Intl.NumberFormat(locale).format(last);
  if (!points.length) return number;
  // Days are those of UTC.
  const period = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', ...(byHour ? { timeStyle: 'short' } : { timeZone: 'UTC' }) });
  const gain = new Intl.NumberFormat(locale, { signDisplay: 'exceptZero' }).format(last - first);
  return `${period.formatRange(Date.parse(points[0].at), Date.parse(points[points.length - 1].at))}: ${number} (${gain})`;
}

/**
 * @param {import('./trend.js').Trend} element
 * @param {string} api the service's URL
 * @returns {import('./lazyelement.js').View}
 */
export function trend(element, api) {
  // A line of few days is at the end of its axis.
  const axis = create('path', { part: 'axis', d: `M0 ${SIDE}H${SIDE}` });
  const area = create('path', { part: 'area' });
  const line = create('path', { part: 'line' });
  const end = create('path', { part: 'point' });
  const picture = create('svg', { part: 'trend', viewBox: `0 0 ${SIDE} ${SIDE}`, preserveAspectRatio: 'none', role: 'img', tabindex: '0' }, axis, area, line, end);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  const shadow = /** @type {ShadowRoot} */ (element.shadowRoot);
  const sheets = shadow.adoptedStyleSheets;

  let url = ''; // of the last request
  let byHour = false;
  let length = 0; // how many points a full line has
  /** @type {Point[] | undefined} the oldest first */
  let points;
  /** @type {AbortController | undefined} of the requests and listeners until the release */
  let active;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs until the next request */
  let timer;
  let drawn = '';

  const load = async () => {
    clearTimeout(timer);
    timer = undefined;
    active ??= new AbortController();
    const { signal } = active;
    const asked = url;
    let wait = RETRY_INTERVAL;
    try {
      const response = await fetch(url, { signal });
      const body = await response.json();
      if (signal.aborted || asked !== url) return;
      // The store may be away for a moment; other errors stay.
      if (response.ok || !(response.status >= 500 || response.status === 429)) {
        wait = INTERVAL;
        points = body.points;
        if (response.ok) draw();
        else element.onChange('error', { code: body.code, message: body.detail });
      }
    } catch {
      if (signal.aborted || asked !== url) return;
      // No network, or no JSON: the line stays until the next request.
    }
    timer = setTimeout(loadVisible, wait);
  };

  /** Loads the line, if the page is visible, or else when it becomes so. A paused line stays as it is. */
  const loadVisible = () => {
    if (document.hidden) document.addEventListener('visibilitychange', loadVisible, { once: true, signal: active?.signal });
    else if (points && element.paused) timer = setTimeout(loadVisible, INTERVAL);
    else load();
  };

  const draw = () => {
    const { topic, exact, fallback, shown, language } = element;
    const hidden = !points || !topic || !!topic.failure;
    if (hidden !== !picture.parentNode) {
      // The element has the size of its children while they show.
      shadow.adoptedStyleSheets = hidden ? sheets : [...sheets, sheet];
      if (hidden) picture.remove();
      else shadow.prepend(picture);
    }
    update(fallback, { hidden: !hidden });
    if (!points || hidden) return void update(exact, { textContent: '' });
    const counts = points.map(({ count }) => count);
    counts.splice(-1, 1, (shown.topic === topic ? shown.count : counts.at(-1)) ?? 0);
    const least = Math.min(...counts);
    const span = Math.max(...counts) - least || 1;
    const isRtl = getComputedStyle(element).direction === 'rtl';
    const places = counts.map((count, index) => {
      const x = SIDE * (1 - (counts.length - 1 - index) / (length - 1));
      return `${(isRtl ? SIDE - x : x).toFixed(1)} ${(SIDE * (1 - (count - least) / span)).toFixed(1)}`;
    });
    const shape = `M${places.join('L')}`;
    const text = describe(points, counts, byHour, language);
    update(exact, { textContent: text, className: 'note' });
    update(picture, { 'aria-label': `${element.getAttribute('label') ?? 'Trend'}, ${text}` });
    if (shape === drawn) return;
    const wasDrawn = drawn;
    drawn = shape;
    line.setAttribute('d', shape);
    area.setAttribute('d', `${shape}V${SIDE}H${places[0].split(' ')[0]}Z`);
    end.setAttribute('d', `M${places[places.length - 1]}h.01`);
    if (wasDrawn && !reducedMotion()) end.animate({ strokeWidth: ['.9em', '.5em'] }, 2 * ROLL_DURATION);
  };

  return {
    render() {
      const { topic } = element;
      const days = Math.min(Math.max(1, Math.trunc(Number(element.getAttribute('days') ?? NaN))), MAX_DAYS) || DEFAULT_DAYS;
      byHour = days <= MAX_DAYS_OF_HOURS;
      length = Math.max(2, byHour ? 24 * days : days);
      const wanted = topic && `${api}v1/history/${encodeTopic(topic.name)}?by=${byHour ? 'hour' : 'day'}&last=${length}`;
      if (wanted && wanted !== url) {
        url = wanted;
        points = undefined;
        load();
      }
      draw();
    },
    release() {
      clearTimeout(timer);
      active?.abort();
      active = timer = points = undefined;
      url = drawn = '';
    },
  };
}
