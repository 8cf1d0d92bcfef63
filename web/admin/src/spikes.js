/** Spikes: contributions that do not look like those of readers, and how to revert them. */
import { call, get, may } from './client.js';
import { ask } from './dialog.js';
import { choice, field, latest, make, plainText, repeat, reportTo, showError, showToast } from './dom.js';
import { counted, minuteTime, number } from './format.js';
import { linkTo } from './link.js';

const PERIODS = /** @type {[string, string][]} */ ([['24h', 'last 24 hours'], ['1h', 'last hour'], ['168h', 'last 7 days']]);

/** Milliseconds between two searches: another owner may revert a spike meanwhile. */
const INTERVAL = 60_000;

/** Spikes that are shown at once; smaller ones are folded. */
const SHOWN = 5;

/** Networks that a spike names. */
const NETWORKS = 3;

/** Topics that a preview names. */
const PREVIEWED = 8;

/**
 * @typedef {{ source: string, contributions: number }} Share
 * @typedef {{ topic: string, from: string, to: string, contributions: number, networks: number, period: string, usual: number, site_usual: number, sources: Share[] }} Spike
 */

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showSpikes(place, signal) {
  const list = make('ol', { class: 'spikes' });
  const smaller = make('ol', { class: 'spikes' });
  const summary = make('summary', {});
  const more = make('details', { hidden: true }, summary, smaller);
  const status = make('p', { class: 'hint', role: 'status' }, 'Searching…');
  let shown = '';
  const load = latest(signal, (current) =>
    reportTo(status, current, async () => {
      const { spikes } = await get('spikes', { since: period.value }, current);
      const text = period.value + JSON.stringify(spikes);
      if (text !== shown) {
        const excess = (/** @type {Spike} */ spike) => spike.contributions - spike.usual;
        const cards = spikes.sort((/** @type {Spike} */ a, /** @type {Spike} */ b) => excess(b) - excess(a)).map(card);
        list.replaceChildren(...cards.splice(0, SHOWN));
        smaller.replaceChildren(...cards);
        summary.textContent = counted(cards.length, 'smaller spike');
        more.hidden = cards.length === 0;
      }
      shown = text;
      status.textContent = spikes.length ? '' : 'No spikes in this period.';
    }),
  );
  const period = choice({ change: load }, PERIODS);

  /** @param {Spike} spike */
  const card = (spike) =>
    make(
      'li',
      { class: 'sheet' },
      make('h2', {}, make('a', { href: linkTo(spike.topic) }, spike.topic)),
      make('p', {}, `${counted(spike.contributions, 'contribution')} from ${counted(spike.networks, 'network')}, ${timeOf(spike)}. ${usualOf(spike)}`),
      make('p', { class: 'hint' }, networksOf(spike)),
      may('editor') && make(
        'button',
        {
          type: 'button',
          class: 'quiet',
          click: () => revert({ topics: [spike.topic], from: spike.from, to: endOf(spike.to), repeated: true }).then((done) => void (done && load()), showError),
        },
        'Review and revert…',
        make('span', { class: 'visually-hidden' }, ` ${spike.topic}`),
      ),
    );

  place.append(
    make('h1', {}, 'Spikes'),
    make('p', { class: 'lede' }, 'Topics that got far more contributions than usual, mostly from networks that contributed more than once. Readers come from many networks, most of them once. A network is shown as a code: the service does not store visitors’ addresses.'),
    make('div', { class: 'head' }, make('div', { class: 'fields' }, field('Period', period))),
    status,
    list,
    more,
    ...(may('editor') ? [revertForm(load)] : []),
  );
  repeat(INTERVAL, signal, load);
}

/**
 * The end of a minute. The journal has the minute of each contribution.
 * @param {string} time when the minute begins
 */
const endOf = (time) => new Date(Date.parse(time) + 59_000).toISOString();

/** @param {Spike} spike */
const timeOf = ({ from, to }) => (from === to ? `at ${minuteTime(from)}` : `from ${minuteTime(from)} to ${minuteTime(to)}`);

/**
 * Returns the usual numbers of the topic and its site, in words.
 * @param {Spike} spike
 */
const usualOf = ({ period, usual, site_usual: site }) =>
  `Usual in ${{ '1h': 'an hour', '24h': 'a day' }[period] ?? period}: ${counted(usual, 'contribution')} to this topic` +
  (site ? `, and ${number(site)} from such networks to the busiest topic of the site.` : '.');

/**
 * The networks with most contributions.
 * @param {Spike} spike
 */
const networksOf = ({ networks, sources }) =>
  sources.length
    ? `Most from ${sources.slice(0, NETWORKS).map((s) => `network ${s.source} (${number(s.contributions)})`).join(', ')}.`
    : 'Too many networks to name. A revert leaves those of networks that contributed once.';

/**
 * Shows a preview of a revert and carries it out if the owner confirms. Resolves to whether the
 * list of spikes may have changed.
 * @param {Record<string, unknown>} selection body of the call
 */
async function revert(selection) {
  const preview = await call('POST', 'undo', { ...selection, preview: true });
  if (!preview.contributions) {
    showToast('There is nothing to revert: the journal has no such contributions.');
    return true;
  }
  return ask({
    title: `Revert ${counted(preview.contributions, 'contribution')}?`,
    content: [
      make('p', {}, `From ${counted(preview.sources.length, 'network')} to ${counted(preview.topics.length, 'topic')}:`),
      make(
        'ul',
        { class: 'matches' },
        ...preview.topics.slice(0, PREVIEWED).map((/** @type {any} */ t) => make('li', {}, t.topic, ': ', make('strong', {}, `−${number(t.contributions)}`))),
        preview.topics.length > PREVIEWED && make('li', {}, `and ${number(preview.topics.length - PREVIEWED)} more`),
      ),
      make('p', { class: 'effect' }, 'Open pages show the new counts at once. Readers in the same networks lose their contributions too and can contribute again. This cannot be undone.'),
    ],
    verb: `Revert ${number(preview.contributions)}`,
    danger: true,
    act: async () => {
      const done = await call('POST', 'undo', selection);
      return `${counted(done.contributions, 'contribution')} reverted.`;
    },
  }).done;
}

/**
 * A form that reverts other contributions.
 * @param {() => void} onDone
 */
function revertForm(onDone) {
  const topic = make('input', { required: true, placeholder: 'blog/likes/hello', ...plainText });
  const from = make('input', { type: 'datetime-local', required: true });
  const to = make('input', { type: 'datetime-local' });
  const address = make('input', { placeholder: '203.0.113.7', ...plainText });
  const time = (/** @type {HTMLInputElement} */ input) => (input.value ? new Date(input.value).toISOString() : undefined);
  return make(
    'details',
    { class: 'sheet' },
    make('summary', {}, 'Revert other contributions'),
    make(
      'form',
      {
        class: 'fields',
        submit: (event) => {
          event.preventDefault();
          const name = topic.value.trim();
          const [site, metric, ...key] = name.split('/');
          const scope = key.length ? { topics: [name] } : { site, metric: metric || undefined };
          revert({ ...scope, from: time(from), to: time(to), addresses: address.value.trim() ? [address.value.trim()] : undefined }).then((done) => void (done && onDone()), showError);
        },
      },
      field('Topic, site/metric or site', topic),
      field('From', from),
      field('To', to, 'Empty: now'),
      field('Network of the address', address, 'Empty: any network'),
      make('button', { class: 'primary' }, 'Review…'),
    ),
  );
}
