/** Dialogs that describe an action before it is carried out. */
import { make, showToast } from './dom.js';

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {(Node | string)[]} content what the action does, and its fields
 * @property {string} verb label of the button
 * @property {boolean} [danger] the action cannot be undone
 * @property {() => Promise<string>} act carries out the action and returns a message
 */

/**
 * Opens a dialog. `done` resolves to true after the action succeeds, and to false if the user
 * cancels. The dialog shows errors and stays open.
 * @param {Question} question
 */
export function ask({ title, content, verb, danger, act }) {
  const button = make('button', { class: danger ? 'danger' : 'primary' }, verb);
  const error = make('p', { class: 'error', role: 'alert' });
  const form = make(
    'form',
    {
      submit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        error.replaceChildren();
        try {
          const message = await act();
          dialog.close('done');
          showToast(message);
        } catch (cause) {
          error.textContent = /** @type {Error} */ (cause).message;
        } finally {
          button.disabled = false;
        }
      },
    },
    make('h2', { id: 'dialog-title' }, title),
    ...content,
    error,
    make('div', { class: 'buttons' }, make('button', { type: 'button', class: 'quiet', click: () => dialog.close() }, 'Cancel'), button),
  );
  const dialog = make('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  document.body.append(dialog);
  dialog.showModal();
  return {
    button,
    /** @type {Promise<boolean>} */
    done: new Promise((resolve) => {
      dialog.addEventListener('close', () => {
        dialog.remove();
        resolve(dialog.returnValue === 'done');
      });
    }),
  };
}
