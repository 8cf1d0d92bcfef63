/** Tokens for the owners of some sites. */
import { call, get, session } from './client.js';
import { ask } from './dialog.js';
import { choice, field, make, makeTable, plainText, reportTo, showToast } from './dom.js';
import { ago, exactTime } from './format.js';

const ROLES = /** @type {[string, string][]} */ ([['viewer', 'viewer: reads'], ['editor', 'editor: also changes']]);

/**
 * @typedef {{ name: string, role: string, sites: string[], created: string }} Token
 */

/**
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export function showTokens(place, signal) {
  const { table, body, row } = makeTable('Tokens', [{ name: 'Name' }, { name: 'Role' }, { name: 'Sites' }, { name: 'Created' }, { name: 'Revoke', hidden: true }]);
  const status = make('p', { class: 'hint', role: 'status' });
  const load = () =>
    reportTo(status, signal, async () => {
      const { tokens } = await get('tokens', {}, signal);
      body.replaceChildren(...tokens.map(line));
      table.hidden = tokens.length === 0;
      status.textContent = tokens.length ? '' : 'No tokens yet.';
    });
  /** @param {Token} token */
  const line = ({ name, role, sites, created }) => {
    const revoke = () =>
      ask({
        title: `Revoke ${name}?`,
        content: [make('p', {}, 'The token ends at once on every instance, with its sessions, exports and previews. This cannot be undone.')],
        verb: 'Revoke',
        danger: true,
        act: async () => {
          await call('DELETE', `tokens/${encodeURIComponent(name)}`);
          return `Revoked ${name}.`;
        },
      }).done.then((done) => void (done && load()));
    const time = make('time', created ? { datetime: created, title: exactTime(created) } : {}, created ? ago(created) : '');
    return row(make('span', { class: 'name' }, name), role || 'unknown', sites.join(', '), time, make('button', { type: 'button', class: 'quiet', click: revoke }, 'Revoke…', make('span', { class: 'visually-hidden' }, ` ${name}`)));
  };
  place.append(
    make('h1', {}, 'Tokens'),
    make('p', { class: 'lede' }, 'A token lets somebody else use this dashboard and the commands, for some sites only. A viewer reads counts, without exports and addresses. An editor also edits, imports, exports, reverts and blocks.'),
    make('section', { class: 'sheet', 'aria-labelledby': 'tokens' }, make('h2', { id: 'tokens' }, 'Valid tokens'), table, status),
    make('section', { class: 'sheet', 'aria-labelledby': 'new-token' }, make('h2', { id: 'new-token' }, 'New token'), tokenForm(load)),
  );
  load();
}

/** @param {() => void} onDone */
function tokenForm(onDone) {
  const name = make('input', { required: true, maxlength: 64, pattern: '[A-Za-z0-9][A-Za-z0-9._@+\\-]*', title: 'Letters, digits and . _ - @ +', placeholder: 'editorial', ...plainText });
  const role = choice({}, ROLES);
  const sites = session.sites.map((value) => make('input', { type: 'checkbox', value }));
  const error = make('p', { class: 'error', role: 'alert' });
  const form = make(
    'form',
    {
      class: 'token-form',
      submit: async (event) => {
        event.preventDefault();
        const chosen = sites.filter((box) => box.checked).map((box) => box.value);
        error.textContent = chosen.length ? '' : 'Choose at least one site.';
        if (!chosen.length) return;
        try {
          const created = await call('POST', 'tokens', { name: name.value.trim(), role: role.value, sites: chosen });
          form.reset();
          onDone();
          showOnce(created);
        } catch (cause) {
          error.textContent = /** @type {Error} */ (cause).message;
        }
      },
    },
    make('div', { class: 'fields' }, field('Name', name, 'Shown in the audit log'), field('Role', role)),
    make('fieldset', { class: 'actions-list' }, make('legend', {}, 'Sites'), ...sites.map((box) => make('label', {}, box, box.value))),
    error,
    make('div', {}, make('button', { class: 'primary' }, 'Create')),
  );
  return form;
}

/**
 * Shows a token, which the service cannot show again.
 * @param {Token & { token: string }} created
 */
function showOnce({ name, token }) {
  const shown = make('input', { readonly: true, value: token, 'aria-label': 'Token', class: 'secret', ...plainText });
  const close = make('button', { class: 'primary' }, 'Done');
  const copy = async () => {
    shown.select();
    try {
      await navigator.clipboard.writeText(token);
      showToast('Copied.');
    } catch {
      showToast('The browser refused to copy. Copy the selected text.');
    }
  };
  const dialog = make(
    'dialog',
    { 'aria-labelledby': 'dialog-title' },
    make(
      'form',
      { method: 'dialog' },
      make('h2', { id: 'dialog-title' }, `The token of ${name}`),
      make('p', {}, 'It is shown only now. Send it over a safe channel.'),
      shown,
      make('div', { class: 'buttons' }, make('button', { type: 'button', class: 'quiet', click: copy }, 'Copy'), close),
    ),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  shown.select();
}
