/** What the service has of its visitor. */
import { post } from './assert.js';

/**
 * @typedef {{ topic: string, count: number, version: number, mine?: number, error?: object }} Contribution
 *   a topic's number and what the visitor contributes to it; without mine the store is away
 */

/**
 * Asks what the visitor contributes to topics, and tells who asked.
 * @param {string} api where the service is, with a slash at the end
 * @param {Record<string, import('./topic.js').Confirm>} confirms topic → what takes the answer
 * @param {string | undefined} visitor
 * @returns {Promise<import('./assert.js').Answer | boolean>} a refusal; else whether the service has all these topics
 */
export async function ask(api, confirms, visitor) {
  const topics = Object.keys(confirms);
  const answer = await post(api + 'v1/counts', { topics, visitor }, 'counts');
  if (!answer.ok) return answer;
  const counts = /** @type {Contribution[]} */ (answer.counts);
  for (const count of counts) confirms[count.topic]?.(count);
  // While the store is away numbers are remembered ones, and nobody's own.
  if (counts.some(({ error, mine }) => !error && mine === undefined)) return { status: 503, retry: 0 };
  return topics.every((name) => counts.some(({ topic, error }) => topic === name && !error));
}
