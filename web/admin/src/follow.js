/** Live counts, by the same client as on the pages of the site. */
import { connect } from '../../src/main.js';

/** @type {import('../../src/main.js').Tally | undefined} */
let tally;

/**
 * Calls onCount with the count of a topic, and of its options if it has any, now and after each change, until the signal.
 * @param {string} topic
 * @param {AbortSignal} signal
 * @param {(count: number, options?: number[]) => void} onCount
 */
export function follow(topic, signal, onCount) {
  if (signal.aborted) return;
  tally ??= connect({ api: new URL('../', location.href) });
  const unsubscribe = tally.topic(topic).subscribe(({ count, options }) => count !== undefined && onCount(count, options));
  signal.addEventListener('abort', unsubscribe);
}
