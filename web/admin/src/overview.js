/** What an owner sees at a glance. */
import { makeActivity } from './activity.js';
import { read } from './call.js';
import { choice, field, make, makeTable, repeat } from './dom.js';
import { ago, bytes, counted, exactTime, number } from './format.js';
import { follow } from './live.js';

/** How often the service is asked, in milliseconds: instances tell of themselves as often. */
const EVERY = 5000;

/** How often it is asked which topics have the highest counts, in milliseconds. */
const TOP_EVERY = 15_000;

/** How many of them are shown. */
const TOP = 10;

/** For how long an instance that fell silent is still listed, in milliseconds. */
const REMEMBERED = 10 * 60_000;

const SPANS = /** @type {[string, string][]} */ ([['60', 'an hour'], ['360', 'six hours'], ['1440', 'a day']]);

/**
 * @typedef {object} Instance what one says of itself
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
  signal.addEventListener('abort', plot.end);

  /** @type {any} */
  let last;
  const site = choice({ change: () => draw() }, [['', 'all sites']]);
  const span = choice({ change: () => draw() }, SPANS);
  const warn = (/** @type {string} */ text) => {
    notice.hidden = !text;
    if (notice.textContent !== text) notice.replaceChildren(make('p', { class: 'warning' }, text));
  };
  const draw = () => last && plot.show(last.activity, site.value, Number(span.value));

  place.append(
    make('h1', {}, 'Overview'),
    notice,
    tiles.list,
    make(
      'section',
      { class: 'sheet', 'aria-labelledby': 'activity' },
      make('div', { class: 'head' }, make('h2', { id: 'activity' }, 'Contributions a minute'), make('div', { class: 'fields' }, field('Of', site), field('Over', span))),
      plot.canvas,
      plot.summary,
    ),
    make('div', { class: 'columns' }, makeTop(signal), make('div', {}, instances.section, usage.section)),
  );

  repeat(EVERY, signal, async () => {
    try {
      last = await read('overview', {}, signal);
    } catch (error) {
      if (!signal.aborted) warn(/** @type {Error} */ (error).message);
      return;
    }
    if (signal.aborted) return;
    const fault = last.store.error ?? (last.store.reached ? '' : 'The store was not reached yet.');
    warn(fault && `The store: ${fault}`);
    for (const each of new Set([...last.activity, ...last.usage].map((/** @type {{ site: string }} */ s) => s.site))) {
      if (![...site.options].some(({ value }) => value === each)) site.append(make('option', { value: each }, each));
    }
    tiles.show(last);
    // What a store does not tell that is away, is not known.
    if (!fault) instances.show(last.instances);
    usage.show(last.usage);
    draw();
  });
  watchSpikes(notice, signal);
}

/**
 * Says once in a while that something looks odd.
 * @param {HTMLElement} notice
 * @param {AbortSignal} signal
 */
function watchSpikes(notice, signal) {
  const link = make('p', { class: 'warning', hidden: true }, make('a', { href: '#/spikes' }, ''));
  notice.after(link);
  repeat(60_000, signal, async () => {
    const { spikes } = await read('spikes', { since: '1h' }, signal).catch(() => ({ spikes: [] }));
    link.hidden = spikes.length === 0;
    link.firstElementChild?.replaceChildren(`${counted(spikes.length, 'topic')} got suspiciously much within an hour: look`);
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
    const sum = (/** @type {any[]} */ all, /** @type {string} */ name) => all.reduce((total, each) => total + (each[name] ?? 0), 0);
    const since = (/** @type {number} */ minute) => sum(activity.filter((/** @type {any} */ a) => a.minute > minute), 'writes');
    set('Readers', number(sum(instances, 'readers')));
    set('Viewers', number(sum(instances, 'viewers')));
    set('Contributions in an hour', number(since(now - 60)));
    set('Contributions in a day', number(since(0)));
    set('Topics', usage.length ? number(sum(usage, 'topics')) : '…');
    set('Contributions kept', usage.length ? number(sum(usage, 'contributions')) : '…');
  };
  return { list, show };
}

/** @param {AbortSignal} signal */
function makeTop(signal) {
  const list = make('ol', { class: 'top' });
  let shown = '';
  /** @type {AbortController | undefined} */
  let round;
  signal.addEventListener('abort', () => round?.abort());
  repeat(TOP_EVERY, signal, async () => {
    const found = await read('topics', { order: 'count', limit: TOP }, signal).catch(() => undefined);
    if (!found || signal.aborted) return;
    const names = found.topics.map((/** @type {any} */ t) => t.topic).join('\n');
    if (names === shown && names) return; // the numbers move by themselves
    shown = names;
    round?.abort();
    const mine = (round = new AbortController());
    list.replaceChildren(
      ...found.topics.map((/** @type {any} */ t) => {
        const count = make('span', { class: 'count' }, number(t.count));
        follow(t.topic, mine.signal, (now) => {
          if (count.textContent !== number(now)) count.textContent = number(now);
        });
        return make('li', {}, make('a', { href: linkTo(t.topic) }, t.topic), count);
      }),
    );
    if (!names) list.replaceChildren(make('li', { class: 'hint' }, 'Nothing is counted yet.'));
  });
  return make('section', { class: 'sheet', 'aria-labelledby': 'top' }, make('h2', { id: 'top' }, 'Highest counts'), list);
}

/**
 * The address of the view that has a topic in its list.
 * @param {string} topic
 */
export function linkTo(topic) {
  const [site, metric, ...key] = topic.split('/');
  return `#/topics?${new URLSearchParams({ site, metric, prefix: key.join('/') })}`;
}

function makeInstances() {
  const { table, body, row } = makeTable('Instances', [{ name: 'Instance' }, { name: 'State' }, { name: 'Readers', number: true }, { name: 'Viewers', number: true }, { name: 'Topics watched', number: true }, { name: 'Up since' }]);
  /** @type {Map<string, { last: Instance, at: number }>} those that were heard of, and when */
  const known = new Map();
  let shown = '';
  let asked = 0;
  const state = (/** @type {Instance} */ i, /** @type {number} */ at) => {
    if (at < asked) return make('span', { class: 'badge bad' }, `silent since ${ago(new Date(at).toISOString())}`);
    if (i.store_fault) return make('span', { class: 'badge bad' }, `store: ${i.store_fault}`);
    if (i.stale_since) return make('span', { class: 'badge bad' }, `stale since ${ago(i.stale_since)}`);
    return make('span', { class: 'badge good' }, 'live');
  };
  /** @param {Instance[]} instances */
  const show = (instances) => {
    const now = (asked = Date.now());
    for (const each of instances) known.set(each.instance, { last: each, at: now });
    for (const [name, { at }] of known) if (at < now - REMEMBERED) known.delete(name);
    const rows = [...known.values()].sort((a, b) => a.last.started.localeCompare(b.last.started)).map(({ last, at }) =>
      row(
        make('span', { title: `${last.instance}, version ${last.version}` }, last.instance.slice(0, 6)),
        state(last, at),
        number(last.readers),
        number(last.viewers),
        number(last.watched_topics),
        make('time', { datetime: last.started, title: exactTime(last.started) }, ago(last.started)),
      ),
    );
    const text = rows.map((r) => r.textContent).join('\n');
    if (text !== shown) body.replaceChildren(...rows);
    shown = text;
  };
  return { section: make('section', { class: 'sheet', 'aria-labelledby': 'instances' }, make('h2', { id: 'instances' }, 'Instances'), table), show };
}

function makeUsage() {
  const { table, body, row } = makeTable('What each site takes up', [{ name: 'Site' }, { name: 'Topics', number: true }, { name: 'Contributions', number: true }, { name: 'Takes up', number: true }]);
  const hint = make('p', { class: 'hint' });
  let shown = '';
  /** @param {{ site: string, topics: number, contributions: number, bytes: number }[]} usage */
  const show = (usage) => {
    const text = JSON.stringify(usage);
    if (text === shown) return;
    shown = text;
    body.replaceChildren(...usage.map((u) => row(u.site, number(u.topics), number(u.contributions), bytes(u.bytes))));
    hint.textContent = usage.length ? 'As of some minutes ago.' : 'Nothing was kept when this was counted last, some minutes ago.';
  };
  return { section: make('section', { class: 'sheet', 'aria-labelledby': 'usage' }, make('h2', { id: 'usage' }, 'Sites'), table, hint), show };
}
