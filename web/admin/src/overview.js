/** The overview of all instances and sites. */
import { makeActivity } from './activity.js';
import { get, may } from './client.js';
import { choice, field, make, makeTable, repeat } from './dom.js';
import { follow } from './follow.js';
import { ago, bytes, counted, exactTime, minuteTime, number } from './format.js';
import { linkTo } from './link.js';
import { makeRising } from './rising.js';

/** Milliseconds between two calls: instances send heartbeats as often. */
const INTERVAL = 5000;

/** Milliseconds between two searches for the topics with the highest counts. */
const TOP_INTERVAL = 15_000;

/** How many topics the list of the highest counts has. */
const TOP = 10;

/** Milliseconds between two searches for spikes. */
const SPIKE_INTERVAL = 60_000;

/** How long an instance without heartbeats is shown, in milliseconds. */
const LOST_RETENTION = 10 * 60_000;

const PERIODS = /** @type {[string, string][]} */ ([['60', 'last hour'], ['360', 'last 6 hours'], ['1440', 'last 24 hours']]);

/**
 * @typedef {object} Instance the status that an instance reports
 * @property {string} instance
 * @property {string} started
 * @property {string} version
 * @property {number} viewers
 * @property {number} watched_topics
 * @property {number} readers
 * @property {string} [stale_since]
 * @property {string} [store_fault]
 */

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showOverview(place, signal) {
  const notice = make('div', { hidden: true });
  const tiles = makeTiles();
  const instances = makeInstances();
  const usage = makeUsage();
  const plot = makeActivity();
  signal.addEventListener('abort', plot.release);

  /** @type {any} */
  let overview;
  const site = choice({ change: () => draw() }, [['', 'all sites']]);
  const period = choice({ change: () => draw() }, PERIODS);
  const warn = (/** @type {string} */ text) => {
    notice.hidden = !text;
    if (notice.textContent !== text) notice.replaceChildren(make('p', { class: 'warning' }, text));
  };
  const draw = () => overview && plot.show(overview.activity, site.value, Number(period.value));

  place.append(
    make('h1', {}, 'Overview'),
    notice,
    tiles.list,
    make(
      'section',
      { class: 'sheet', 'aria-labelledby': 'activity' },
      make('div', { class: 'head' }, make('div', {}, make('h2', { id: 'activity' }, 'Contributions per minute'), make('p', { class: 'hint' }, 'Likes, claps, votes and visits')), make('div', { class: 'fields' }, field('Site', site), field('Period', period))),
      plot.canvas,
      plot.summary,
    ),
    make('div', { class: 'columns' }, make('div', {}, makeRising(signal), makeTop(signal)), make('div', {}, may('admin') && instances.section, usage.section)),
  );

  repeat(INTERVAL, signal, async () => {
    let found;
    try {
      found = await get('overview', {}, signal);
    } catch (error) {
      if (!signal.aborted) warn(/** @type {Error} */ (error).message);
      return;
    }
    if (signal.aborted) return;
    const fault = found.store.error ?? (found.store.reached ? '' : 'the service has not reached it yet');
    warn(fault && `Store problem: ${fault}`);
    // If the store is away, the other instances and the contributions are unknown, not lost.
    if (fault) return;
    overview = found;
    for (const each of new Set([...overview.activity, ...overview.usage].map((/** @type {{ site: string }} */ s) => s.site))) {
      if (![...site.options].some(({ value }) => value === each)) site.append(make('option', { value: each }, each));
    }
    tiles.show(overview);
    instances.show(overview.instances);
    usage.show(overview.usage);
    draw();
  });
  watchSpikes(notice, signal);
}

/**
 * Shows a link while there are spikes.
 * @param {HTMLElement} notice
 * @param {AbortSignal} signal
 */
function watchSpikes(notice, signal) {
  const link = make('a', { href: '#/spikes' }, 'Review');
  const text = make('span');
  const warning = make('p', { class: 'warning', hidden: true }, text, link);
  notice.after(warning);
  repeat(SPIKE_INTERVAL, signal, async () => {
    const { spikes } = await get('spikes', { since: '24h' }, signal).catch(() => ({ spikes: [] }));
    warning.hidden = spikes.length === 0;
    text.textContent = `${counted(spikes.length, 'topic')} grew unusually fast in the last 24 hours. `;
  });
}

function makeTiles() {
  const list = make('dl', { class: 'tiles' });
  /** @type {Map<string, HTMLElement>} */
  const values = new Map();
  /**
   * @param {string} name
   * @param {string} value
   */
  const set = (name, value) => {
    let shown = values.get(name);
    if (!shown) {
      values.set(name, (shown = make('dd', {})));
      list.append(make('div', {}, make('dt', {}, name), shown));
    }
    if (shown.textContent !== value) shown.textContent = value;
  };
  /** @param {any} overview */
  const show = ({ instances, activity, usage }) => {
    const now = Math.floor(Date.now() / 60_000);
    const sum = (/** @type {any[]} */ items, /** @type {string} */ name) => items.reduce((total, each) => total + (each[name] ?? 0), 0);
    const writesAfter = (/** @type {number} */ minute) => sum(activity.filter((/** @type {any} */ a) => a.minute > minute), 'writes');
    if (may('admin')) {
      set('Readers now', number(sum(instances, 'readers')));
      set('Connected pages', number(sum(instances, 'viewers')));
    }
    set('Contributions, last hour', number(writesAfter(now - 60)));
    set('Contributions, last 24 hours', number(writesAfter(0)));
    // The first overview starts the first measurement.
    if (!usage.length) return;
    set('Topics', number(sum(usage, 'topics')));
    set('Stored contributions', number(sum(usage, 'contributions')));
  };
  return { list, show };
}

/** @param {AbortSignal} signal */
function makeTop(signal) {
  const list = make('ol', { class: 'top' });
  let shown = '';
  /** @type {AbortController | undefined} */
  let current;
  signal.addEventListener('abort', () => current?.abort());
  repeat(TOP_INTERVAL, signal, async () => {
    const found = await get('topics', { order: 'count', limit: TOP }, signal).catch(() => undefined);
    if (!found || signal.aborted) return;
    const names = found.topics.map((/** @type {any} */ t) => t.topic).join('\n');
    if (names === shown && names) return; // the counts are live
    shown = names;
    current?.abort();
    const { signal: ended } = (current = new AbortController());
    list.replaceChildren(
      ...found.topics.map((/** @type {any} */ t) => {
        const count = make('span', { class: 'count' }, number(t.count));
        follow(t.topic, ended, (now) => {
          if (count.textContent !== number(now)) count.textContent = number(now);
        });
        return make('li', {}, make('a', { href: linkTo(t.topic) }, t.topic), count);
      }),
    );
    if (!names) list.replaceChildren(make('li', { class: 'hint' }, 'No counts yet.'));
  });
  return make('section', { class: 'sheet', 'aria-labelledby': 'top' }, make('h2', { id: 'top' }, 'Highest counts'), list);
}

function makeInstances() {
  const { table, body, row } = makeTable('Instances', [{ name: 'Instance' }, { name: 'Status' }, { name: 'Readers', number: true }, { name: 'Pages', number: true }, { name: 'Topics watched', number: true }, { name: 'Started' }]);
  /** @type {Map<string, { status: Instance, at: number }>} the last heartbeat of each instance and when it was read */
  const known = new Map();
  let shown = '';
  /**
   * @param {Instance} status
   * @param {number} at
   * @param {number} now
   */
  const badge = (status, at, now) => {
    if (at < now) return make('span', { class: 'badge bad' }, `lost, last seen ${ago(new Date(at).toISOString())}`);
    if (status.store_fault) return make('span', { class: 'badge bad' }, `store problem: ${status.store_fault}`);
    if (status.stale_since) return make('span', { class: 'badge bad' }, `stale since ${minuteTime(status.stale_since)}`);
    return make('span', { class: 'badge good' }, 'live');
  };
  /** @param {Instance[]} instances */
  const show = (instances) => {
    const now = Date.now();
    for (const each of instances) known.set(each.instance, { status: each, at: now });
    for (const [name, { at }] of known) if (at < now - LOST_RETENTION) known.delete(name);
    const rows = [...known.values()].sort((a, b) => a.status.started.localeCompare(b.status.started)).map(({ status, at }) =>
      row(
        make('span', { title: `${status.instance}, version ${status.version}` }, status.instance.slice(0, 6)),
        badge(status, at, now),
        number(status.readers),
        number(status.viewers),
        number(status.watched_topics),
        make('time', { datetime: status.started, title: exactTime(status.started) }, ago(status.started)),
      ),
    );
    const text = rows.map((r) => r.textContent).join('\n');
    if (text !== shown) body.replaceChildren(...rows);
    shown = text;
  };
  return { section: make('section', { class: 'sheet', 'aria-labelledby': 'instances' }, make('h2', { id: 'instances' }, 'Instances'), table), show };
}

function makeUsage() {
  const { table, body, row } = makeTable('Size of each site', [{ name: 'Site' }, { name: 'Topics', number: true }, { name: 'Contributions', number: true }, { name: 'Size', number: true }]);
  const hint = make('p', { class: 'hint' });
  let shown = '';
  /** @param {{ site: string, topics: number, contributions: number, bytes: number }[]} usage */
  const show = (usage) => {
    const text = JSON.stringify(usage);
    if (text === shown) return;
    shown = text;
    body.replaceChildren(...usage.map((u) => row(u.site, number(u.topics), number(u.contributions), bytes(u.bytes))));
    table.hidden = usage.length === 0;
    hint.textContent = usage.length ? 'The service measures the sizes every few minutes while this page is open.' : 'The service is measuring the sizes.';
  };
  return { section: make('section', { class: 'sheet', 'aria-labelledby': 'usage' }, make('h2', { id: 'usage' }, 'Sites'), table, hint), show };
}
