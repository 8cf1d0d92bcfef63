import { post } from './assert.js';
import { REQUEST_SPREAD } from './timeouts.js';

/**
 * @typedef {{ topic: string, count: number, version: number, mine?: number, error?: object }} Contribution
 *   a topic's number and the visitor's contribution to it; without mine the store is away
 */

/**
 * Fetches the visitor's contributions to topics.
 * @param {import('./client.js').Client} client
 * @param {import('./topic.js').Topic[]} topics
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; otherwise whether the service has all these topics
 */
export async function fetchContributions(client, topics, visitor) {
  const names = topics.map(({ name }) => name);
  const receivers = new Map(topics.map((topic) => [topic.name, topic.makeReceiver()]));
  let visitor_token;
  try {
    visitor_token = await client.token?.();
  } catch {
    return { error: { status: 0 } }; // the token cannot be requested now
  }
  const answer = await post(client.api + 'v1/counts', { topics: names, visitor, visitor_token }, 'counts');
  if (answer.error) return answer;
  const counts = /** @type {Contribution[]} */ (answer.counts);
  for (const count of counts) receivers.get(count.topic)?.(count);
  // While the store is away the service answers from memory or from a replica, without mine.
  if (counts.some(({ error, mine }) => !error && mine === undefined)) return { error: { status: 503 } };
  return names.every((name) => counts.some(({ topic, error }) => topic === name && !error));
}

/** @type {Map<import('./client.js').Client, { due: number, timer: ReturnType<typeof setTimeout> }>} the next request of each client */
const scheduled = new Map();

/**
 * Fetches, after a random delay, the contributions that the service may have lost. An earlier request includes a later
 * one.
 * @param {import('./client.js').Client} client
 * @param {string | undefined} visitor
 * @param {number} spread the longest delay, in units of REQUEST_SPREAD
 */
export function confirmLater(client, visitor, spread) {
  const delay = Math.random() * spread * REQUEST_SPREAD;
  const due = Date.now() + delay;
  const next = scheduled.get(client);
  if (next && next.due <= due) return;
  clearTimeout(next?.timer);
  const timer = setTimeout(() => {
    scheduled.delete(client);
    // The service may have counted visitors under a derived id, and does not know the stored one.
    const topics = client.uncertain().filter(({ name }) => name.split('/')[1] !== 'visitors');
    if (topics.length) fetchContributions(client, topics, visitor);
  }, delay);
  scheduled.set(client, { due, timer });
}
