/** Numbers as they change, by the client that every page of the site uses. */
import { connect } from '../../src/main.js';

/** @type {import('../../src/main.js').Tally | undefined} */
let tally;

/**
 * Calls listen with a topic's count, now and after each change, until the signal.
 * @param {string} topic
 * @param {AbortSignal} signal
 * @param {(count: number) => void} listen
 */
export function follow(topic, signal, listen) {
  if (signal.aborted) return;
  tally ??= connect({ api: new URL('../', location.href) });
  const leave = tally.topic(topic).subscribe(({ count }) => count !== undefined && listen(count));
  signal.addEventListener('abort', leave);
}
