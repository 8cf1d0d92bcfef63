/** The list of topics: search, edit, export and delete unused ones. */
import { call, get, may } from './client.js';
import { ask } from './dialog.js';
import { choice, field, find, make, makeTable, plainText, reportTo, showError, showToast } from './dom.js';
import { editTopic } from './edit.js';
import { follow } from './follow.js';
import { linkToHistory } from './link.js';
import { makeOptions } from './options.js';
import { ago, counted, exactTime, minuteTime, number, signed, sum } from './format.js';

/** Topics on a page. */
const PAGE = 50;

/** Topics whose counts are live. The service allows 1,000 on a connection. */
const MAX_LIVE = 500;

const FORMATS = [['csv', 'CSV'], ['json', 'JSON'], ['jsonl', 'JSON Lines with contributions']];

const ORDERS = /** @type {[string, string][]} */ ([['newest', 'last change'], ['count', 'highest count'], ['topic', 'name']]);

/** Suggested metrics: those that every service has. */
export const METRICS = ['likes', 'claps', 'votes', 'rating', 'poll', 'views', 'visitors', 'heart', 'party', 'rocket', 'laugh', 'wow', 'sad'];

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 * @param {URLSearchParams} query of the URL
 */
export function showTopics(place, signal, query) {
  let searched = query;
  const value = (/** @type {string} */ name) => searched.get(name) ?? '';
  const site = make('input', { name: 'site', value: value('site'), list: 'sites', ...plainText });
  const metric = make('input', { name: 'metric', value: value('metric'), list: 'metrics', ...plainText });
  const prefix = make('input', { name: 'prefix', type: 'search', value: value('prefix'), ...plainText });
  const order = choice({ name: 'order', change: () => form.requestSubmit() }, ORDERS, value('order') || (value('prefix') ? 'topic' : 'newest'));
  const sites = make('datalist', { id: 'sites' });

  /** A metric needs a site, and a key a metric. */
  const enableFields = () => {
    metric.disabled = !site.value.trim();
    prefix.disabled = metric.disabled || !metric.value.trim();
    metric.placeholder = metric.disabled ? 'enter a site first' : '';
    prefix.placeholder = prefix.disabled ? 'enter a metric first' : '';
  };
  const form = make(
    'form',
    {
      role: 'search',
      class: 'fields sheet',
      input: enableFields,
      submit: (event) => {
        event.preventDefault();
        searched = new URLSearchParams();
        for (const each of [site, metric, prefix, order]) if (!each.disabled && each.value.trim()) searched.set(each.name, each.value.trim());
        history.pushState(null, '', `#/topics?${searched}`);
        search();
      },
    },
    field('Site', site),
    field('Metric', metric),
    field('Key starts with', prefix),
    field('Sort by', order),
    make('button', { class: 'primary' }, 'Search'),
    sites,
    make('datalist', { id: 'metrics' }, ...METRICS.map((value) => make('option', { value }))),
  );
  enableFields();

  const { table, body, row } = makeTable('Topics', [{ name: 'Topic' }, { name: 'Count', number: true }, { name: 'Seed', number: true }, { name: 'Adjustment', number: true }, { name: 'Last change' }, { name: 'Edit', hidden: true }]);
  const more = make('button', { type: 'button', class: 'quiet', hidden: true, click: () => load() }, 'More topics');
  const status = make('p', { class: 'hint', role: 'status' });
  const legend = make('p', { class: 'hint' }, 'A topic is site/metric/key. Its count is the seed, with which it started, plus the adjustment, which an owner made, plus the contributions of visitors.');
  const exports = FORMATS.map(([format, name]) => make('a', { 'data-format': format, download: '' }, name));
  let after = '';
  /** Ends the calls and subscriptions of the current list. */
  let current = new AbortController();
  signal.addEventListener('abort', () => current.abort());

  /** @param {import('./edit.js').State} t */
  const makeLine = (t) => {
    const count = make('span', { class: 'count' }, number(t.count));
    const changed = make('time', t.changed ? { datetime: t.changed, title: exactTime(t.changed) } : {}, t.changed ? ago(t.changed) : '');
    const bars = makeOptions();
    bars.show(t.options);
    if (body.children.length < MAX_LIVE) follow(t.topic, current.signal, (now, options) => {
      bars.show(options);
      if (count.textContent === number(now)) return;
      count.textContent = number(now);
      count.classList.remove('changed');
      requestAnimationFrame(() => count.classList.add('changed'));
    });
    const button = may('editor') && make('button', { type: 'button', class: 'quiet', click: () => edit(t.topic, line) }, 'Edit…', make('span', { class: 'visually-hidden' }, ` ${t.topic}`));
    const line = row(make('div', { class: 'name' }, make('a', { href: linkToHistory(t.topic), title: 'History' }, t.topic), bars.list), count, number(sum(t.seed)), signed(sum(t.adjustment)), changed, button || undefined);
    return line;
  };

  /**
   * @param {string} topic
   * @param {HTMLElement} line
   */
  const edit = async (topic, line) => {
    try {
      if (!(await editTopic(topic)) || signal.aborted) return;
      const { topics } = await get('topics', { ...scopeOf(topic), limit: 1 }, signal);
      if (topics[0]?.topic === topic) {
        const edited = makeLine(topics[0]);
        line.replaceWith(edited);
        edited.querySelector('button')?.focus();
      } else {
        line.remove();
        find('main').focus();
      }
    } catch (error) {
      if (!signal.aborted) showError(/** @type {Error} */ (error));
    }
  };

  const search = () => {
    current.abort();
    current = new AbortController();
    after = '';
    body.replaceChildren();
    for (const link of exports) {
      const scope = ['site', 'metric', 'prefix'].filter(value).map((name) => [name, value(name)]);
      link.href = `v1/export?${new URLSearchParams([...scope, ['format', link.dataset.format ?? '']])}`;
    }
    load();
  };

  const load = async () => {
    const { signal } = current;
    more.hidden = true;
    await reportTo(status, signal, async () => {
      const listing = { site: value('site'), metric: value('metric'), prefix: value('prefix'), order: order.value, limit: PAGE, after };
      const { topics, next } = await get('topics', listing, signal);
      if (signal.aborted) return;
      for (const topic of topics) body.append(makeLine(topic));
      after = next;
      status.textContent = body.children.length ? '' : 'No topics found.';
    });
    if (!signal.aborted) more.hidden = !after;
  };

  place.append(
    make('h1', {}, 'Topics'),
    form,
    legend,
    make('section', { class: 'sheet', 'aria-label': 'Topics found' }, table, status, more),
    ...(may('editor') ? [make('p', { class: 'foot hint' }, 'Export these topics:', ...exports), pruneForm(search)] : []),
  );
  search();
  get('overview', {}, signal).then(
    ({ usage }) => sites.append(...usage.map((/** @type {{ site: string }} */ u) => make('option', { value: u.site }))),
    () => {}, // without suggestions the form works as well
  );
}

/**
 * A form that deletes topics that did not change for long.
 * @param {() => void} onDone
 */
function pruneForm(onDone) {
  const site = make('input', { required: true, list: 'sites', ...plainText });
  const metric = make('input', { list: 'metrics', ...plainText });
  const since = make('input', { type: 'datetime-local', step: 1, required: true });
  const prune = async () => {
    const scope = { site: site.value.trim(), metric: metric.value.trim(), untouched_since: new Date(since.value).toISOString() };
    const { topics } = await call('POST', 'prune', { ...scope, preview: true });
    if (!topics.length) return showToast('No unused topics found.');
    const done = await ask({
      title: `Delete ${counted(topics.length, 'topic')}?`,
      content: [
        make('p', {}, `No change since ${minuteTime(scope.untouched_since)}:`),
        make('ul', { class: 'matches' }, ...topics.slice(0, PAGE).map((/** @type {any} */ t) => make('li', {}, t.topic, ': ', number(t.count))), topics.length > PAGE && make('li', {}, `and ${number(topics.length - PAGE)} more`)),
        make('p', { class: 'effect' }, 'Their counts become 0. This cannot be undone, but you can import an export again.'),
      ],
      verb: `Delete ${number(topics.length)}`,
      danger: true,
      act: async () => `${counted((await call('POST', 'prune', scope)).topics.length, 'topic')} deleted.`,
    }).done;
    if (done) onDone();
  };
  return make(
    'details',
    { class: 'sheet' },
    make('summary', {}, 'Delete unused topics'),
    make(
      'form',
      {
        class: 'fields',
        submit: (event) => {
          event.preventDefault();
          prune().catch(showError);
        },
      },
      field('Site', site),
      field('Metric', metric, 'Empty: all metrics'),
      field('No change since', since),
      make('button', { class: 'danger' }, 'Review…'),
    ),
  );
}

/** @param {string} topic */
function scopeOf(topic) {
  const [site, metric, ...key] = topic.split('/');
  return { site, metric, prefix: key.join('/') };
}
