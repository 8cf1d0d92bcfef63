import { create, update } from './dom.js';
import { MESSAGE_DURATION } from './motion.js';

/** @typedef {import('./element.js').TallyElement} TallyElement */

/**
 * Adds a live region to an element's shadow tree, and returns a function that shows the message for a reason. Its texts
 * can be translated: `kept` (the press waits for a connection, or for the store) and `refused` (it was taken back).
 * @param {TallyElement} element
 * @returns {(reason: import('./topic.js').Reason) => void}
 */
export function makeStatus(element) {
  const status = create('span', { part: 'status', role: 'status', class: 'note' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  element.shadowRoot?.prepend(status);
  return (reason) => {
    // A message stays for MESSAGE_DURATION, but not beyond the next press, or the time when the service has the press.
    const messages = { kept: 'Will be sent later', refused: 'Not saved', visitor: '' };
    if (!(reason in messages)) return;
    clearTimeout(timer);
    timer = setTimeout(update, MESSAGE_DURATION, status, { textContent: '' });
    update(status, { textContent: /** @type {any} */ (element)[reason] ?? messages[/** @type {keyof typeof messages} */ (reason)] });
  };
}
