/** All topics: searched, paged, and mended. */
import { call, read } from './call.js';
import { ask } from './dialog.js';
import { choice, field, find, make, makeTable, say } from './dom.js';
import { ago, counted, exactTime, minuteTime, number, signed } from './format.js';
import { follow } from './live.js';
import { mend } from './mend.js';

/** How many topics a page of the list has. */
const PAGE = 50;

/** How many are followed live: the service takes 1,000 topics of a connection. */
const FOLLOWED = 500;

const FORMATS = [['csv', 'CSV'], ['json', 'JSON'], ['jsonl', 'JSON Lines, with contributions']];

const ORDERS = /** @type {[string, string][]} */ ([['newest', 'changed last'], ['count', 'highest first'], ['topic', 'by name']]);

/** Metrics that every service has; others are written by hand. */
const METRICS = ['likes', 'claps', 'views', 'visitors', 'heart', 'party', 'rocket', 'laugh', 'wow', 'sad'];

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 * @param {URLSearchParams} wanted what the address asks for
 */
export function showTopics(place, signal, wanted) {
  let asked = wanted;
  const get = (/** @type {string} */ name) => asked.get(name) ?? '';
  const site = make('input', { name: 'site', value: get('site'), list: 'sites', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const metric = make('input', { name: 'metric', value: get('metric'), list: 'metrics', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const prefix = make('input', { name: 'prefix', type: 'search', value: get('prefix'), autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const order = choice({ name: 'order', change: () => form.requestSubmit() }, ORDERS, get('order') || (get('prefix') ? 'topic' : 'newest'));
  const sites = make('datalist', { id: 'sites' });

  /** A metric is one of a site, and a key one of a metric. */
  const adapt = () => {
    metric.disabled = !site.value.trim();
    prefix.disabled = metric.disabled || !metric.value.trim();
  };
  const form = make(
    'form',
    {
      role: 'search',
      class: 'fields sheet',
      input: adapt,
      submit: (event) => {
        event.preventDefault();
        asked = new URLSearchParams();
        for (const each of [site, metric, prefix, order]) if (!each.disabled && each.value.trim()) asked.set(each.name, each.value.trim());
        history.pushState(null, '', `#/topics?${asked}`);
        search();
      },
    },
    field('Site', site),
    field('Metric', metric),
    field('Key begins with', prefix),
    field('Order', order),
    make('button', { class: 'primary' }, 'Show'),
    sites,
    make('datalist', { id: 'metrics' }, ...METRICS.map((value) => make('option', { value }))),
  );
  adapt();

  const { table, body, row } = makeTable('Topics', [{ name: 'Topic' }, { name: 'Shows', number: true }, { name: 'Seed', number: true }, { name: 'Adjustment', number: true }, { name: 'Changed' }, { name: 'Mend', hidden: true }]);
  const more = make('button', { type: 'button', class: 'quiet', hidden: true, click: () => load() }, 'More');
  const state = make('p', { class: 'hint', role: 'status' });
  const exports = FORMATS.map(([format, name]) => make('a', { 'data-format': format, download: '' }, `as ${name}`));
  let after = '';
  /** Ends what the present list follows. */
  let round = new AbortController();
  signal.addEventListener('abort', () => round.abort());

  /** @param {import('./mend.js').State} t */
  const show = (t) => {
    const count = make('span', { class: 'count' }, number(t.count));
    const changed = make('time', t.changed ? { datetime: t.changed, title: exactTime(t.changed) } : {}, t.changed ? ago(t.changed) : '');
    if (body.children.length < FOLLOWED) follow(t.topic, round.signal, (now) => {
      if (count.textContent === number(now)) return;
      count.textContent = number(now);
      count.classList.remove('moved');
      requestAnimationFrame(() => count.classList.add('moved'));
    });
    const button = make('button', { type: 'button', class: 'quiet', click: () => edit(t.topic, line) }, 'Mend…', make('span', { class: 'unseen' }, ` ${t.topic}`));
    const line = row(make('span', { class: 'name' }, t.topic), count, number(t.seed), signed(t.adjustment), changed, button);
    return line;
  };

  /**
   * @param {string} topic
   * @param {HTMLElement} line
   */
  const edit = async (topic, line) => {
    try {
      if (!(await mend(topic)) || signal.aborted) return;
      const { topics } = await read('topics', { ...scopeOf(topic), limit: 1 }, signal);
      if (topics[0]?.topic === topic) {
        const now = show(topics[0]);
        line.replaceWith(now);
        now.querySelector('button')?.focus();
      } else {
        line.remove();
        find('main').focus();
      }
    } catch (error) {
      if (!signal.aborted) say(/** @type {Error} */ (error).message);
    }
  };

  const search = () => {
    round.abort();
    round = new AbortController();
    after = '';
    body.replaceChildren();
    for (const link of exports) {
      const scope = ['site', 'metric', 'prefix'].filter(get).map((name) => [name, get(name)]);
      link.href = `v1/export?${new URLSearchParams([...scope, ['format', link.dataset.format ?? '']])}`;
    }
    load();
  };

  const load = async () => {
    more.hidden = true;
    const { signal } = round;
    try {
      const query = { site: get('site'), metric: get('metric'), prefix: get('prefix'), order: order.value, limit: PAGE, after };
      const { topics, next } = await read('topics', query, signal);
      if (signal.aborted) return;
      for (const topic of topics) body.append(show(topic));
      after = next;
      more.hidden = !next;
      state.textContent = body.children.length ? '' : 'There is no such topic.';
    } catch (error) {
      if (!signal.aborted) state.textContent = /** @type {Error} */ (error).message;
    }
  };

  place.append(
    make('h1', {}, 'Topics'),
    form,
    make('section', { class: 'sheet', 'aria-label': 'Topics found' }, table, state, more),
    make('p', { class: 'foot hint' }, 'Take these with you:', ...exports),
    pruning(search),
  );
  search();
  read('overview', {}, signal).then(
    ({ usage }) => sites.append(...usage.map((/** @type {{ site: string }} */ u) => make('option', { value: u.site }))),
    () => {}, // it only suggests
  );
}

/**
 * Ends topics that nobody touched for long.
 * @param {() => void} done
 */
function pruning(done) {
  const site = make('input', { required: true, list: 'sites', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const metric = make('input', { list: 'metrics', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const since = make('input', { type: 'datetime-local', step: 1, required: true });
  const prune = async () => {
    const what = { site: site.value.trim(), metric: metric.value.trim(), untouched_since: new Date(since.value).toISOString() };
    const { topics } = await call('POST', 'prune', { ...what, preview: true });
    if (!topics.length) return say('There is no topic that nobody touched since.');
    const changed = await ask({
      title: `Delete ${counted(topics.length, 'topic')}?`,
      content: [
        make('p', {}, `Nobody touched them since ${minuteTime(what.untouched_since)}:`),
        make('ul', { class: 'found' }, ...topics.slice(0, PAGE).map((/** @type {any} */ t) => make('li', {}, t.topic, ': ', number(t.count))), topics.length > PAGE && make('li', {}, `and ${number(topics.length - PAGE)} more`)),
        make('p', { class: 'says' }, 'Their numbers are gone then. It cannot be undone; an export can be imported again.'),
      ],
      verb: `Delete ${number(topics.length)}`,
      danger: true,
      act: async () => `${counted((await call('POST', 'prune', what)).topics.length, 'topic')} deleted.`,
    }).done;
    if (changed) done();
  };
  return make(
    'details',
    { class: 'sheet' },
    make('summary', {}, 'Delete what nobody touches'),
    make(
      'form',
      {
        class: 'fields',
        submit: (event) => {
          event.preventDefault();
          prune().catch((error) => say(error.message));
        },
      },
      field('Site', site),
      field('Metric', metric, 'Empty: all of them'),
      field('Untouched since', since),
      make('button', { class: 'danger' }, 'Look…'),
    ),
  );
}

/** @param {string} topic */
function scopeOf(topic) {
  const [site, metric, ...key] = topic.split('/');
  return { site, metric, prefix: key.join('/') };
}
