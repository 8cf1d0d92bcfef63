/** The dialog that edits one topic. */
import { call, get, topicPath } from './client.js';
import { ask } from './dialog.js';
import { field, make, plainText } from './dom.js';
import { counted, number, numbersOf, signed, sum } from './format.js';

/**
 * @typedef {object} State
 * @property {string} topic
 * @property {number} count
 * @property {number[]} [options] the count of each option; then seed and adjustment are lists, too
 * @property {number | number[]} seed
 * @property {number | number[]} adjustment
 * @property {string} [changed]
 */

/**
 * @typedef {object} Action
 * @property {string} name
 * @property {string} [verb] label of the button; the name if missing
 * @property {boolean} [danger] it cannot be undone
 * @property {(state: State) => HTMLInputElement} [input]
 * @property {string} [label] of the input
 * @property {(state: State, value: string) => string} effect what will happen
 * @property {(state: State, value: string) => Promise<string>} act carries it out and returns a message
 */

const contributions = (/** @type {State} */ { count, seed, adjustment }) => Math.max(0, count - sum(seed) - sum(adjustment));

/** @param {number | number[]} value a list has one text field */
const numberInput = (value) =>
  Array.isArray(value)
    ? make('input', { type: 'text', required: true, pattern: '\\d+( *, *\\d+)*', title: 'One number for each option, separated by commas', value: value.join(', '), inputmode: 'numeric', ...plainText })
    : make('input', { type: 'number', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, required: true, value, inputmode: 'numeric' });

/**
 * Returns the number in a field, or the list of numbers of a choice topic.
 * @param {State} state
 * @param {string} value
 */
const numberOf = ({ options }, value) => (options ? value.split(',').map(Number) : Number(value));

/** Returns whether a field has the present value. @param {number | number[]} before @param {number | number[]} after */
const isSame = (before, after) => String(before) === String(after);

const topicInput = (/** @type {string} */ value) => make('input', { type: 'text', required: true, value, ...plainText });

/** @type {Action[]} */
const actions = [
  {
    name: 'Set the count',
    label: 'Count shown on pages',
    input: (state) => numberInput(state.options ?? state.count),
    effect(state, value) {
      const now = state.options ?? state.count;
      const next = numberOf(state, value);
      if (isSame(now, next)) return `Pages show ${numbersOf(now)}. Enter what they should show.`;
      const shown = `Open pages show ${numbersOf(next)} instead of ${numbersOf(now)}. The contributions stay; `;
      return shown + (state.options ? 'the adjustments change.' : `the adjustment changes from ${signed(sum(state.adjustment))} to ${signed(sum(next) - sum(state.seed) - contributions(state))}.`);
    },
    act: async (state, value) => {
      const { topic } = state;
      const { after } = await call('PATCH', topicPath(topic), { count: numberOf(state, value) });
      return `${topic}: the count is now ${number(after.count)}.`;
    },
  },
  {
    name: 'Set the seed',
    label: 'Seed: the count before the first contribution',
    input: (state) => numberInput(state.seed),
    effect: (state, value) =>
      isSame(state.seed, numberOf(state, value)) ? `The seed is ${numbersOf(state.seed)}. Enter another one.` : `The seed changes from ${numbersOf(state.seed)} to ${numbersOf(numberOf(state, value))}, and the count by the same amount. If the service reads seeds from a folder of pages, the next change there sets the seed again.`,
    act: async (state, value) => {
      const { topic } = state;
      const { after } = await call('PATCH', topicPath(topic), { seed: numberOf(state, value) });
      return `${topic}: the seed is now ${numbersOf(after.seed)}, the count ${number(after.count)}.`;
    },
  },
  {
    name: 'Rename',
    label: 'New name: site/metric/key',
    input: (state) => topicInput(state.topic),
    effect: (state, value) =>
      value === state.topic ? 'Enter another name.' : `The count and its contributions move to ${value || '…'}. Pages that use ${state.topic} then show 0, so change them too. The new topic must not exist.`,
    act: async ({ topic }, value) => {
      const renamed = await call('POST', 'rename', { from: topic, to: value });
      return `Renamed ${topic} to ${renamed.topic}, count ${number(renamed.count)}.`;
    },
  },
  {
    name: 'Merge into another topic',
    verb: 'Merge',
    danger: true,
    label: 'Other topic: site/metric/key',
    input: () => topicInput(''),
    effect: (state, value) => `${value || '…'} gets all contributions to ${state.topic}, which is then deleted: pages that use it show 0, so change them too. A visitor of both topics counts twice. This cannot be undone.`,
    act: async ({ topic }, value) => {
      const merged = await call('POST', 'merge', { from: [topic], to: value });
      return `Merged ${topic} into ${merged.topic}, count ${number(merged.count)}.`;
    },
  },
  {
    name: 'Reset',
    verb: 'Reset to 0',
    danger: true,
    effect: (state) => `Open pages show 0. This removes the seed of ${numbersOf(state.seed)}, the adjustment of ${numbersOf(state.adjustment, signed)} and ${counted(contributions(state), 'contribution')}. Visitors can contribute again. This cannot be undone.`,
    act: async ({ topic }) => {
      await call('POST', 'reset', { topics: [topic] });
      return `${topic}: the count is now 0.`;
    },
  },
  {
    name: 'Delete',
    danger: true,
    effect: (state) => `Open pages show 0. This deletes the topic with its seed, its adjustment and ${counted(contributions(state), 'contribution')}. A page that still uses the topic can create it again. This cannot be undone.`,
    act: async ({ topic }) => {
      await call('DELETE', topicPath(topic));
      return `Deleted ${topic}.`;
    },
  },
];

/**
 * Opens the dialog of a topic. Resolves to whether something was changed.
 * @param {string} topic
 */
export async function editTopic(topic) {
  /** @type {State} */
  const state = await get(topicPath(topic));
  let action = actions[0];
  /** @type {HTMLInputElement | undefined} */
  let input;
  const fields = make('div', {});
  const effect = make('p', { class: 'effect', id: 'effect', 'aria-live': 'polite' });
  const describe = () => (effect.textContent = action.effect(state, input?.value ?? ''));
  const choose = () => {
    input = action.input?.(state);
    input?.addEventListener('input', describe);
    input?.setAttribute('aria-describedby', 'effect');
    fields.replaceChildren(...(input ? [field(action.label ?? '', input)] : []));
    dialog.button.textContent = action.verb ?? action.name;
    dialog.button.className = action.danger ? 'danger' : 'primary';
    describe();
  };
  const chooser = make(
    'fieldset',
    { class: 'actions-list' },
    make('legend', {}, 'Action'),
    ...actions.map((each) =>
      make(
        'label',
        {},
        make('input', { type: 'radio', name: 'action', value: each.name, checked: each === action, change: () => ((action = each), choose()) }),
        each.name,
      ),
    ),
  );
  const dialog = ask({
    title: topic,
    content: [
      make('p', { class: 'hint' }, `Count ${number(state.count)}: seed ${numbersOf(state.seed)}, adjustment ${numbersOf(state.adjustment, signed)}, ${counted(contributions(state), 'contribution')}.`),
      chooser,
      fields,
      effect,
    ],
    verb: '',
    act: () => action.act(state, input?.value.trim() ?? ''),
  });
  choose();
  return dialog.done;
}
