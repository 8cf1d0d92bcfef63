import { post } from './assert.js';

/**
 * @typedef {{ topic: string, count: number, version: number, mine?: number, error?: object }} Contribution
 *   a topic's number and the visitor's contribution to it; without mine the store is away
 */

/**
 * Fetches the visitor's contributions to topics, and calls each topic's receiver.
 * @param {string} api the service's URL
 * @param {Record<string, import('./topic.js').Receiver>} receivers by topic
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; otherwise whether the service has all these topics
 */
export async function fetchContributions(api, receivers, visitor) {
  const topics = Object.keys(receivers);
  const answer = await post(api + 'v1/counts', { topics, visitor }, 'counts');
  if (!answer.ok) return answer;
  const counts = /** @type {Contribution[]} */ (answer.counts);
  for (const count of counts) receivers[count.topic]?.(count);
  // While the store is away the service answers from memory, without mine.
  if (counts.some(({ error, mine }) => !error && mine === undefined)) return { status: 503, retry: 0 };
  return topics.every((name) => counts.some(({ topic, error }) => topic === name && !error));
}
