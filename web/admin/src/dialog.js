/** Dialogs that say what will happen before it does. */
import { make, say } from './dom.js';

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {(Node | string)[]} content what will happen, and the fields that decide it
 * @property {string} verb what the button does
 * @property {boolean} [danger] it cannot be taken back
 * @property {() => Promise<string>} act does it, and returns what was done
 */

/**
 * Asks, and resolves when it was done, or to false when it was not. What is refused is told in the
 * dialog, which stays.
 * @param {Question} question
 */
export function ask({ title, content, verb, danger, act }) {
  const button = make('button', { class: danger ? 'danger' : 'primary' }, verb);
  const wrong = make('p', { class: 'wrong', role: 'alert' });
  const form = make(
    'form',
    {
      submit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        wrong.replaceChildren();
        try {
          const done = await act();
          dialog.close('done');
          say(done);
        } catch (error) {
          wrong.textContent = /** @type {Error} */ (error).message;
        } finally {
          button.disabled = false;
        }
      },
    },
    make('h2', { id: 'asked' }, title),
    ...content,
    wrong,
    make('div', { class: 'buttons' }, make('button', { type: 'button', class: 'quiet', click: () => dialog.close() }, 'Leave as it is'), button),
  );
  const dialog = make('dialog', { 'aria-labelledby': 'asked' }, form);
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
