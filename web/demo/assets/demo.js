/** The live parts of the demo's pages. The elements do not need them. */
import { client } from '../tally.js';

/** How many changes the feed shows. */
const FEED_LENGTH = 4;

/** How often the feed's times are updated, in milliseconds. */
const FEED_INTERVAL = 1000;

/** The size of the second window: a phone's. */
const SECOND_WINDOW = 'popup,width=430,height=860';

const STATUS_TEXTS = {
  live: 'Live',
  stale: 'The store is away: numbers may be old',
  away: 'Connecting…',
};

const numbers = new Intl.NumberFormat('en');

/** @param {string} id */
const find = (id) => document.getElementById(id);

/** Shows whether the numbers are current. */
function showStatus() {
  const place = find('status');
  if (!place) return;
  const status = /** @type {keyof typeof STATUS_TEXTS} */ (client.status);
  place.dataset.status = status;
  const text = place.querySelector('.status-text');
  if (text) text.textContent = STATUS_TEXTS[status];
}

/** Adds the switch between light and dark, which begins with the system's choice. */
function addThemeSwitch() {
  const button = find('theme');
  if (!button) return;
  const { dataset } = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (dataset.theme ? dataset.theme === 'dark' : system.matches);
  const show = () => button.setAttribute('aria-pressed', String(isDark()));
  button.onclick = () => {
    dataset.theme = isDark() ? 'light' : 'dark';
    try {
      localStorage.setItem('tallycast:theme', dataset.theme);
    } catch {
      // Storage is refused: the choice is for this page only.
    }
    show();
  };
  system.addEventListener('change', show);
  show();
  button.hidden = false;
}

/** Opens the second window next to this one, not in front of it. */
function addSecondWindow() {
  /** @type {HTMLAnchorElement | null} */
  const link = document.querySelector('.second');
  link?.addEventListener('click', (event) => {
    if (open(link.href, '', SECOND_WINDOW)) event.preventDefault();
  });
}

/** Fills the article's feed of changes. */
function addFeed() {
  const list = find('feed');
  if (!list) return;
  /** @type {{ by: number, count: number, own: boolean, at: number }[]} */
  const changes = [];
  let last = Number(document.querySelector('tally-count')?.getAttribute('count'));
  const show = () => {
    if (!changes.length) return;
    list.replaceChildren(
      ...changes.map(({ by, count, own, at }) => {
        const line = document.createElement('li');
        const text = document.createElement('span');
        const amount = document.createElement('b');
        const time = document.createElement('time');
        amount.textContent = `${by > 0 ? '+' : '−'}${Math.abs(by)}`;
        text.append(amount, ` ${own ? 'from you' : 'from elsewhere'}, makes ${numbers.format(count)}`);
        const seconds = Math.round((Date.now() - at) / 1000);
        time.textContent = seconds < 2 ? 'just now' : seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
        line.append(text, time);
        return line;
      }),
    );
  };
  // All elements of the page show the same topic: one is enough.
  document.querySelector('.figure tally-count')?.addEventListener('tally-change', (event) => {
    const { count, source } = /** @type {CustomEvent} */ (event).detail;
    const by = count - last;
    last = count;
    if (!by) return;
    changes.unshift({ by, count, own: source === 'visitor', at: Date.now() });
    changes.length = Math.min(changes.length, FEED_LENGTH);
    show();
  });
  setInterval(() => document.hidden || show(), FEED_INTERVAL);
}

/** Shows the list's sum and its last press, and highlights the lines that change. */
function addSum() {
  const total = find('total');
  const latest = find('latest');
  if (!total || !latest) return;
  const counts = new Map();
  const hearts = document.querySelectorAll('.items tally-like');
  for (const heart of hearts) counts.set(heart, Number(heart.getAttribute('count')));
  const onChange = (/** @type {Event} */ event) => {
    const heart = /** @type {HTMLElement} */ (event.target);
    if (!counts.has(heart)) return;
    const { count, source } = /** @type {CustomEvent} */ (event).detail;
    const grew = count > counts.get(heart);
    counts.set(heart, count);
    total.textContent = numbers.format([...counts.values()].reduce((sum, n) => sum + n, 0));
    if (event.type !== 'tally-change' || !grew) return;
    const line = heart.closest('li');
    const title = document.createElement('b');
    title.textContent = line?.querySelector('h2')?.textContent ?? '';
    latest.replaceChildren(source === 'visitor' ? 'You, just now: ' : 'Somebody, just now: ', title);
    line?.classList.remove('changed');
    requestAnimationFrame(() => line?.classList.add('changed'));
  };
  document.addEventListener('tally-load', onChange);
  document.addEventListener('tally-change', onChange);
}

document.addEventListener('tally-status', showStatus);
showStatus();
addThemeSwitch();
addSecondWindow();
addFeed();
addSum();
