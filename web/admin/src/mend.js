/** What an owner may do to one topic. */
import { call, read, topicPath } from './call.js';
import { ask } from './dialog.js';
import { field, make } from './dom.js';
import { counted, number, signed } from './format.js';

/**
 * @typedef {object} State
 * @property {string} topic
 * @property {number} count
 * @property {number} seed
 * @property {number} adjustment
 * @property {string} [changed]
 */

/**
 * @typedef {object} Deed
 * @property {string} name as it is chosen
 * @property {(state: State) => string} verb what the button does
 * @property {boolean} [danger]
 * @property {(state: State) => HTMLInputElement} [input]
 * @property {string} [label] of the input
 * @property {(state: State, given: string) => string} says what will happen
 * @property {(state: State, given: string) => Promise<string>} act returns what was done
 */

const contributed = (/** @type {State} */ { count, seed, adjustment }) => Math.max(0, count - seed - adjustment);

const numberInput = (/** @type {number} */ value) => make('input', { type: 'number', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, required: true, value, inputmode: 'numeric' });

const nameInput = (/** @type {string} */ value) => make('input', { type: 'text', required: true, value, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off' });

/** @type {Deed[]} */
const deeds = [
  {
    name: 'Set the number',
    verb: () => 'Set the number',
    label: 'The number that is shown',
    input: (state) => numberInput(state.count),
    says: (state, given) =>
      `Every open page shows ${number(Number(given))} instead of ${number(state.count)}. What visitors contributed stays, and counts on: the adjustment goes from ${signed(state.adjustment)} to ${signed(Number(given) - state.seed - contributed(state))}.`,
    act: async ({ topic }, given) => {
      const { after } = await call('PATCH', topicPath(topic), { count: Number(given) });
      return `${topic} shows ${number(after.count)} now.`;
    },
  },
  {
    name: 'Set the seed',
    verb: () => 'Set the seed',
    label: 'What it begins with, beside what visitors contribute',
    input: (state) => numberInput(state.seed),
    says: (state, given) =>
      `The seed goes from ${number(state.seed)} to ${number(Number(given))}, and what every open page shows changes by as much. Where a folder of pages is followed, its next change sets the seed again.`,
    act: async ({ topic }, given) => {
      const { after } = await call('PATCH', topicPath(topic), { seed: Number(given) });
      return `${topic} has the seed ${number(after.seed)} now, and shows ${number(after.count)}.`;
    },
  },
  {
    name: 'Rename',
    verb: () => 'Rename',
    label: 'Its new name: site/metric/key',
    input: (state) => nameInput(state.topic),
    says: (state, given) =>
      given === state.topic ? 'It has this name already.' : `All that was contributed is counted as ${given || '…'} from now on, and belongs to who contributed it. Pages that ask for ${state.topic} show 0 from then: change them, too. There must be nothing of the new name yet.`,
    act: async ({ topic }, given) => {
      const moved = await call('POST', 'rename', { from: topic, to: given });
      return `${topic} is ${moved.topic} now, and shows ${number(moved.count)}.`;
    },
  },
  {
    name: 'Merge into another',
    verb: () => 'Merge',
    danger: true,
    label: 'The topic that it becomes a part of: site/metric/key',
    input: () => nameInput(''),
    says: (state, given) => `${given || '…'} gets everything that was contributed to ${state.topic}, which is gone afterwards. Whoever contributed to both counts twice. It cannot be undone.`,
    act: async ({ topic }, given) => {
      const moved = await call('POST', 'merge', { from: [topic], to: given });
      return `${moved.topic} shows ${number(moved.count)} now, with what was ${topic}.`;
    },
  },
  {
    name: 'Reset',
    verb: () => 'Reset to 0',
    danger: true,
    says: (state) => `Every open page shows 0. The seed of ${number(state.seed)}, the adjustment of ${signed(state.adjustment)} and ${counted(contributed(state), 'contribution')} are dropped, and everybody may contribute anew. It cannot be undone.`,
    act: async ({ topic }) => {
      await call('POST', 'reset', { topics: [topic] });
      return `${topic} begins at 0 again.`;
    },
  },
  {
    name: 'Delete',
    verb: () => 'Delete',
    danger: true,
    says: (state) => `Every open page shows 0, and the topic is gone with ${counted(contributed(state), 'contribution')}, its seed and its adjustment. A page that still has it may bring it into being again. It cannot be undone.`,
    act: async ({ topic }) => {
      await call('DELETE', topicPath(topic));
      return `${topic} is gone.`;
    },
  },
];

/**
 * Opens the dialog of one topic, and resolves to whether something was done.
 * @param {string} topic
 */
export async function mend(topic) {
  /** @type {State} */
  const state = await read(topicPath(topic));
  let deed = deeds[0];
  /** @type {HTMLInputElement | undefined} */
  let input;
  const asked = make('div', {});
  const says = make('p', { class: 'says', id: 'says', 'aria-live': 'polite' });
  const explain = () => (says.textContent = deed.says(state, input?.value ?? ''));
  const choose = () => {
    input = deed.input?.(state);
    input?.addEventListener('input', explain);
    input?.setAttribute('aria-describedby', 'says');
    asked.replaceChildren(...(input ? [field(deed.label ?? '', input)] : []));
    dialog.button.textContent = deed.verb(state);
    dialog.button.className = deed.danger ? 'danger' : 'primary';
    explain();
  };
  const chooser = make(
    'fieldset',
    { class: 'deeds' },
    make('legend', {}, 'What should happen?'),
    ...deeds.map((each) =>
      make(
        'label',
        {},
        make('input', { type: 'radio', name: 'deed', value: each.name, checked: each === deed, change: () => ((deed = each), choose()) }),
        each.name,
      ),
    ),
  );
  const dialog = ask({
    title: topic,
    content: [
      make('p', { class: 'hint' }, `Shows ${number(state.count)}: a seed of ${number(state.seed)}, an adjustment of ${signed(state.adjustment)}, and ${counted(contributed(state), 'contribution')}.`),
      chooser,
      asked,
      says,
    ],
    verb: '',
    act: () => deed.act(state, input?.value.trim() ?? ''),
  });
  choose();
  return dialog.done;
}
