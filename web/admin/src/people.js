/** Who may not contribute, and who wants to be forgotten. */
import { call, read } from './call.js';
import { ask } from './dialog.js';
import { field, make, makeTable, say } from './dom.js';
import { counted } from './format.js';

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showPeople(place, signal) {
  const { table, body, row } = makeTable('Who is blocked', [{ name: 'Who' }, { name: 'Why' }, { name: 'Unblock', hidden: true }]);
  table.classList.add('whole');
  const state = make('p', { class: 'hint', role: 'status' });
  const load = async () => {
    try {
      const { blocks } = await read('blocks', {}, signal);
      body.replaceChildren(...blocks.map(line));
      table.hidden = blocks.length === 0;
      state.textContent = blocks.length ? '' : 'Nobody is blocked.';
    } catch (error) {
      if (!signal.aborted) state.textContent = /** @type {Error} */ (error).message;
    }
  };
  /** @param {{ range?: string, visitor?: string, reason: string }} block */
  const line = ({ range, visitor, reason }) => {
    const who = range ?? `visitor ${visitor}`;
    const lift = () =>
      ask({
        title: `Unblock ${who}?`,
        content: [make('p', {}, 'Contributions from there count again from now on.')],
        verb: 'Unblock',
        act: async () => {
          await call('DELETE', 'blocks', range ? { range } : { visitor });
          return `${who} may contribute again.`;
        },
      }).done.then((done) => void (done && load()));
    return row(who, reason, make('button', { type: 'button', class: 'quiet', click: lift }, 'Unblock…', make('span', { class: 'unseen' }, ` ${who}`)));
  };

  place.append(
    make('h1', {}, 'People'),
    make('section', { class: 'sheet', 'aria-labelledby': 'blocked' }, make('h2', { id: 'blocked' }, 'Blocked'), table, state, blockForm(load)),
    make('section', { class: 'sheet', 'aria-labelledby': 'forget' }, make('h2', { id: 'forget' }, 'Forget a visitor'), forgetForm()),
  );
  load();
}

/** @param {() => void} done */
function blockForm(done) {
  const who = make('input', { required: true, placeholder: '203.0.113.0/24', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const why = make('input', { maxlength: 200 });
  const form = make(
    'form',
    {
      class: 'fields',
      submit: (event) => {
        event.preventDefault();
        const given = who.value.trim();
        const range = /[.:]/.test(given) ? given : undefined;
        ask({
          title: `Block ${given}?`,
          content: [make('p', {}, `Contributions from ${range ? 'there' : 'this visitor'} are refused from now on, on every instance. What was contributed until now stays; a spike's undo takes it back.`)],
          verb: 'Block',
          danger: true,
          act: async () => {
            await call('POST', 'blocks', { ...(range ? { range } : { visitor: given }), reason: why.value.trim() });
            form.reset();
            return `${given} is blocked.`;
          },
        }).done.then((changed) => changed && done(), (error) => say(error.message));
      },
    },
    field('Address range, or visitor', who),
    field('Why', why),
    make('button', { class: 'danger' }, 'Block…'),
  );
  return form;
}

function forgetForm() {
  const visitor = make('input', { required: true, minlength: 8, maxlength: 64, pattern: '[A-Za-z0-9_\\-]+', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const site = make('input', { autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const form = make(
    'form',
    {
      class: 'fields',
      submit: (event) => {
        event.preventDefault();
        const where = site.value.trim();
        ask({
          title: 'Forget this visitor?',
          content: [make('p', {}, `Everything that ${visitor.value} contributed ${where ? `to the site ${where}` : 'to any site'} is taken back, and open pages follow. It cannot be undone.`)],
          verb: 'Forget',
          danger: true,
          act: async () => {
            const { contributions } = await call('POST', 'forget', { visitor: visitor.value.trim(), site: where });
            form.reset();
            return `${counted(contributions, 'contribution')} taken back.`;
          },
        });
      },
    },
    field('Visitor', visitor, 'The id that the visitor’s browser keeps: tallycast in its local storage'),
    field('Site', site, 'Empty: all of them'),
    make('button', { class: 'danger' }, 'Forget…'),
  );
  return form;
}
