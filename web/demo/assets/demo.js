/** What makes the demo's pages lively; the widgets do not need it. */
import { client } from '../tally.js';

/** Changes that the feed remembers. */
const FEED = 4;

/** How often the feed's times are written anew, in milliseconds. */
const TICK = 1000;

/** The size of the second window, in CSS pixels: a phone's. */
const SECOND = 'popup,width=430,height=860';

const words = {
  live: 'Live',
  stale: 'The store is away: numbers may be old',
  away: 'Connecting…',
};

const numbers = new Intl.NumberFormat('en');

/** @param {string} id */
const find = (id) => document.getElementById(id);

/** Shows whether the numbers are current. */
function showStatus() {
  const status = find('status');
  if (!status) return;
  const now = /** @type {keyof typeof words} */ (client.status);
  status.dataset.status = now;
  const text = status.querySelector('.status-text');
  if (text) text.textContent = words[now];
}

/** Light or dark: the system's choice until the visitor makes one. */
function offerTheme() {
  const button = find('theme');
  if (!button) return;
  const { dataset } = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dark = () => (dataset.theme ? dataset.theme === 'dark' : system.matches);
  const show = () => button.setAttribute('aria-pressed', String(dark()));
  button.onclick = () => {
    dataset.theme = dark() ? 'light' : 'dark';
    try {
      localStorage.setItem('tallycast:theme', dataset.theme);
    } catch {
      // Storage is refused: the choice holds for this page.
    }
    show();
  };
  system.addEventListener('change', show);
  show();
  button.hidden = false;
}

/** The second window opens beside this one rather than over it. */
function offerSecondWindow() {
  /** @type {HTMLAnchorElement | null} */
  const link = document.querySelector('.second');
  link?.addEventListener('click', (event) => {
    if (open(link.href, '', SECOND)) event.preventDefault();
  });
}

/** The article's feed of what just happened. */
function feed() {
  const list = find('feed');
  if (!list) return;
  /** @type {{ by: number, count: number, own: boolean, at: number }[]} */
  const events = [];
  let last = Number(document.querySelector('tally-count')?.getAttribute('count'));
  const show = () => {
    if (!events.length) return;
    list.replaceChildren(
      ...events.map(({ by, count, own, at }) => {
        const line = document.createElement('li');
        const what = document.createElement('span');
        const how = document.createElement('b');
        const when = document.createElement('time');
        const many = Math.abs(by);
        how.textContent = `${by > 0 ? '+' : '−'}${many}`;
        what.append(how, ` ${own ? 'from you' : 'from elsewhere'}, makes ${numbers.format(count)}`);
        const seconds = Math.round((Date.now() - at) / 1000);
        when.textContent = seconds < 2 ? 'just now' : seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
        line.append(what, when);
        return line;
      }),
    );
  };
  // The hero's number speaks for all that show the same topic.
  document.querySelector('.figure tally-count')?.addEventListener('tally-change', (event) => {
    const { count, source } = /** @type {CustomEvent} */ (event).detail;
    const by = count - last;
    last = count;
    if (!by) return;
    events.unshift({ by, count, own: source === 'visitor', at: Date.now() });
    events.length = Math.min(events.length, FEED);
    show();
  });
  setInterval(() => document.hidden || show(), TICK);
}

/** The listing's sum, its newest press, and the glow of what moved. */
function listing() {
  const total = find('total');
  const latest = find('latest');
  if (!total || !latest) return;
  const counts = new Map();
  const hearts = document.querySelectorAll('.pleasures tally-like');
  for (const heart of hearts) counts.set(heart, Number(heart.getAttribute('count')));
  const note = (/** @type {Event} */ event) => {
    const heart = /** @type {HTMLElement} */ (event.target);
    if (!counts.has(heart)) return;
    const { count, source } = /** @type {CustomEvent} */ (event).detail;
    const more = count > counts.get(heart);
    counts.set(heart, count);
    total.textContent = numbers.format([...counts.values()].reduce((sum, n) => sum + n, 0));
    if (event.type !== 'tally-change' || !more) return;
    const line = heart.closest('li');
    const title = document.createElement('b');
    title.textContent = line?.querySelector('h2')?.textContent ?? '';
    latest.replaceChildren(source === 'visitor' ? 'You, just now: ' : 'Somebody, just now: ', title);
    line?.classList.remove('lit');
    requestAnimationFrame(() => line?.classList.add('lit'));
  };
  document.addEventListener('tally-load', note);
  document.addEventListener('tally-change', note);
}

document.addEventListener('tally-status', showStatus);
showStatus();
offerTheme();
offerSecondWindow();
feed();
listing();
