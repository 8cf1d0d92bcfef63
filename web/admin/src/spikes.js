/** What looks unlike readers, and how it is taken back. */
import { call, read } from './call.js';
import { ask } from './dialog.js';
import { choice, field, make, repeat, say } from './dom.js';
import { counted, minuteTime, number } from './format.js';
import { linkTo } from './overview.js';

const SINCE = /** @type {[string, string][]} */ ([['1h', 'an hour'], ['6h', 'six hours'], ['24h', 'a day'], ['168h', 'a week']]);

/** The pause between two looks, in milliseconds: another owner may revert a spike meanwhile. */
const EVERY = 60_000;

/** How many topics a preview names. */
const NAMED = 8;

/**
 * @typedef {{ source: string, contributions: number }} Share
 * @typedef {{ topic: string, from: string, to: string, contributions: number, usual: number, sources: Share[] }} Spike
 */

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showSpikes(place, signal) {
  const list = make('ul', { class: 'spikes' });
  const state = make('p', { class: 'hint', role: 'status' }, 'Looking…');
  let shown = '';
  let asked = 0;
  const load = async () => {
    const turn = ++asked;
    try {
      const { spikes } = await read('spikes', { since: since.value }, signal);
      if (turn !== asked) return; // a newer answer is on its way
      const text = since.value + JSON.stringify(spikes);
      if (text !== shown) list.replaceChildren(...spikes.map(card));
      shown = text;
      state.textContent = spikes.length ? '' : 'Nothing looks odd in this time.';
    } catch (error) {
      if (!signal.aborted) state.textContent = /** @type {Error} */ (error).message;
    }
  };
  const since = choice({ change: load }, SINCE);

  /** @param {Spike} spike */
  const card = (spike) =>
    make(
      'li',
      { class: 'sheet' },
      make('h2', {}, make('a', { href: linkTo(spike.topic) }, spike.topic)),
      make('p', {}, `${counted(spike.contributions, 'contribution')} ${spanOf(spike)}; usually ${number(spike.usual)} in ${SINCE.find(([value]) => value === since.value)?.[1]}.`),
      make('p', { class: 'hint' }, spike.sources.length ? `From ${spike.sources.map((s) => `network ${s.source} (${number(s.contributions)})`).join(', ')}.` : 'From many networks, in a short time.'),
      make(
        'button',
        {
          type: 'button',
          class: 'primary',
          click: () => undo({ topics: [spike.topic], from: spike.from, to: endOf(spike.to), sources: spike.sources.map((s) => s.source) }).then((done) => void (done && load()), complain),
        },
        'Look and undo…',
        make('span', { class: 'unseen' }, ` ${spike.topic}`),
      ),
    );

  place.append(
    make('h1', {}, 'Spikes'),
    make('p', { class: 'lede' }, 'Topics that got far more than usual, from few networks or within minutes. What readers do looks different.'),
    make('div', { class: 'head' }, make('div', { class: 'fields' }, field('Within', since))),
    state,
    list,
    byHand(load),
  );
  repeat(EVERY, signal, load);
}

const complain = (/** @type {Error} */ error) => say(error.message);

/**
 * The end of the minute that a time begins: contributions are kept by the minute.
 * @param {string} time
 */
const endOf = (time) => new Date(Date.parse(time) + 59_000).toISOString();

/** @param {Spike} spike */
const spanOf = ({ from, to }) => (from === to ? `in the minute of ${minuteTime(from)}` : `from ${minuteTime(from)} to ${minuteTime(to)}`);

/**
 * Shows what would be taken back, and takes it back when it is confirmed.
 * @param {Record<string, unknown>} what the body of the call
 */
async function undo(what) {
  const found = await call('POST', 'undo', { ...what, preview: true });
  if (!found.contributions) {
    say('There is nothing to take back: no contribution of that time and place is known any more.');
    return true;
  }
  return ask({
    title: `Take back ${counted(found.contributions, 'contribution')}?`,
    content: [
      make('p', {}, `They came from ${counted(found.sources.length, 'network')}, to ${counted(found.topics.length, 'topic')}:`),
      make(
        'ul',
        { class: 'found' },
        ...found.topics.slice(0, NAMED).map((/** @type {any} */ t) => make('li', {}, t.topic, ': ', make('strong', {}, `−${number(t.contributions)}`))),
        found.topics.length > NAMED && make('li', {}, `and ${number(found.topics.length - NAMED)} more`),
      ),
      make('p', { class: 'says' }, 'Open pages follow at once. Readers of the same networks lose theirs, too, and may contribute anew. It cannot be undone.'),
    ],
    verb: `Take back ${number(found.contributions)}`,
    danger: true,
    act: async () => {
      const done = await call('POST', 'undo', what);
      return `${counted(done.contributions, 'contribution')} taken back.`;
    },
  }).done;
}

/**
 * The same for what no rule found.
 * @param {() => void} done
 */
function byHand(done) {
  const topic = make('input', { required: true, placeholder: 'blog/likes/hello', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const from = make('input', { type: 'datetime-local', required: true });
  const to = make('input', { type: 'datetime-local' });
  const address = make('input', { placeholder: '203.0.113.7', autocomplete: 'off', spellcheck: 'false' });
  const time = (/** @type {HTMLInputElement} */ input) => (input.value ? new Date(input.value).toISOString() : undefined);
  return make(
    'details',
    { class: 'sheet' },
    make('summary', {}, 'Take back by hand'),
    make(
      'form',
      {
        class: 'fields',
        submit: (event) => {
          event.preventDefault();
          const [site, metric, ...key] = topic.value.trim().split('/');
          const what = { ...(key.length ? { topics: [topic.value.trim()] } : { site, metric: metric || undefined }), from: time(from), to: time(to), addresses: address.value.trim() ? [address.value.trim()] : undefined };
          undo(what).then((changed) => changed && done(), complain);
        },
      },
      field('Topic, or site, or site/metric', topic),
      field('From', from),
      field('To', to, 'Empty: until now'),
      field('From the network of the address', address, 'Empty: from anywhere'),
      make('button', { class: 'primary' }, 'Look…'),
    ),
  );
}
