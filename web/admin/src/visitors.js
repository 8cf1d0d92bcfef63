/** Blocks addresses and visitors, and removes the contributions of a visitor. */
import { call, get, may } from './client.js';
import { ask } from './dialog.js';
import { field, make, makeTable, plainText, reportTo } from './dom.js';
import { counted } from './format.js';

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showVisitors(place, signal) {
  const { table, body, row } = makeTable('Blocked addresses and visitors', [{ name: 'Address or visitor' }, { name: 'Site' }, { name: 'Reason' }, { name: 'Unblock', hidden: true }]);
  const status = make('p', { class: 'hint', role: 'status' });
  const load = () =>
    reportTo(status, signal, async () => {
      const { blocks } = await get('blocks', {}, signal);
      body.replaceChildren(...blocks.map(line));
      table.hidden = blocks.length === 0;
      status.textContent = blocks.length ? '' : 'Nothing is blocked.';
    });
  /** @param {{ site?: string, range?: string, visitor?: string, reason: string }} block */
  const line = ({ site, range, visitor, reason }) => {
    const target = range ?? `visitor ${visitor}`;
    const unblock = () =>
      ask({
        title: `Unblock ${target}?`,
        content: [make('p', {}, 'New contributions from there count again.')],
        verb: 'Unblock',
        act: async () => {
          await call('DELETE', 'blocks', { site, ...(range ? { range } : { visitor }) });
          return `Unblocked ${target}.`;
        },
      }).done.then((done) => void (done && load()));
    return row(target, site ?? 'all', reason, make('button', { type: 'button', class: 'quiet', click: unblock }, 'Unblock…', make('span', { class: 'visually-hidden' }, ` ${target}`)));
  };

  place.append(
    make('h1', {}, 'Visitors'),
    make('section', { class: 'sheet', 'aria-labelledby': 'blocked' }, make('h2', { id: 'blocked' }, 'Blocked'), table, status, blockForm(load)),
    make('section', { class: 'sheet', 'aria-labelledby': 'forget' }, make('h2', { id: 'forget' }, 'Forget a visitor'), forgetForm()),
  );
  load();
}

/** The sites that an empty field means. */
const siteHint = () => (may('admin') ? 'Empty: all sites' : 'Empty: all your sites');

/** @param {() => void} onDone */
function blockForm(onDone) {
  const target = make('input', { required: true, placeholder: '203.0.113.0/24', ...plainText });
  const reason = make('input', { maxlength: 200 });
  const site = make('input', plainText);
  const form = make(
    'form',
    {
      class: 'fields',
      submit: (event) => {
        event.preventDefault();
        const given = target.value.trim();
        const isRange = /^[^@]*[.:]/.test(given);
        ask({
          title: `Block ${given}?`,
          content: [make('p', {}, `Every instance refuses new contributions from ${isRange ? 'these addresses' : 'this visitor'}. Earlier contributions stay; the view Spikes can revert them.`)],
          verb: 'Block',
          danger: true,
          act: async () => {
            // An instance of the release 0.2.0 refuses a field site.
            await call('POST', 'blocks', { site: site.value.trim() || undefined, ...(isRange ? { range: given } : { visitor: given }), reason: reason.value.trim() });
            form.reset();
            return `Blocked ${given}.`;
          },
        }).done.then((done) => void (done && onDone()));
      },
    },
    field('Address range or visitor id', target, 'For a reader who signs in: @ and the sub of the token. The list shows visitors as codes.'),
    field('In the site', site, siteHint()),
    field('Reason', reason),
    make('button', { class: 'danger' }, 'Block…'),
  );
  return form;
}

function forgetForm() {
  const visitor = make('input', { required: true, maxlength: 256, pattern: '[A-Za-z0-9_\\-]{8,64}|@.+', ...plainText });
  const site = make('input', plainText);
  const form = make(
    'form',
    {
      class: 'fields',
      submit: (event) => {
        event.preventDefault();
        const given = site.value.trim();
        ask({
          title: 'Forget this visitor?',
          content: [make('p', {}, `This removes everything that visitor ${visitor.value} contributed to ${given ? `the site ${given}` : 'any site'}. Open pages show the new counts at once. This cannot be undone.`)],
          verb: 'Forget',
          danger: true,
          act: async () => {
            const { contributions } = await call('POST', 'forget', { visitor: visitor.value.trim(), site: given });
            form.reset();
            return `${counted(contributions, 'contribution')} removed.`;
          },
        });
      },
    },
    field('Visitor id', visitor, 'The visitor finds it in the local storage of the browser, in the entry that begins with tallycast.'),
    field('Site', site, siteHint()),
    make('button', { class: 'danger' }, 'Forget…'),
  );
  return form;
}
