/**
 * Assertions, and other requests that carry the visitor's id.
 *
 * @typedef {object} Refusal
 * @property {string} [code] of the service, such as `rate_limited`
 * @property {string} [message] for people
 * @property {number} [status] of HTTP; 0 without an answer. The client sets that of an answer over its socket: 503 if the
 *   store may have applied the assertion, else 400
 * @property {number} [retry_after] how long the service asks to wait, in seconds
 *
 * @typedef {object} Answer either error, or what the service answered
 * @property {Refusal} [error]
 * @property {number} [count]
 * @property {number} [version]
 * @property {number} [mine]
 * @property {object[]} [counts] of /v1/counts
 */

/**
 * How long an answer may take, in milliseconds. The service answers within 3 s even if its store hangs; the
 * rest is for slow networks.
 */
const TIMEOUT = 10_000;

/**
 * Returns the header Retry-After in seconds, at most an hour: timers overflow after 24 days. A date,
 * which some proxies send, is 0.
 * @param {Headers} headers
 */
export const retryAfter = (headers) => Math.min(/** @type {any} */ (headers.get('retry-after')), 3600) || 0;

/**
 * Posts a body as text/plain, which needs no preflight. The request outlives the page.
 * @param {string} url
 * @param {object} body
 * @param {string} required the field that tells the service's answer from a proxy's
 * @returns {Promise<Answer>}
 */
export const post = async (url, body, required) => {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      keepalive: true,
      signal: AbortSignal.timeout(TIMEOUT),
    });
    const { ok, status, headers } = response;
    // A proxy's refusal need not be JSON.
    const answer = await response.json().catch(() => ({}));
    if (ok && required in answer) return answer;
    return { error: { code: answer.code, message: answer.detail, status: ok ? 0 : status, retry_after: retryAfter(headers) } };
  } catch {
    return { error: { status: 0 } };
  }
};

/**
 * Encodes a topic, or a key, as a part of a URL's path.
 * @param {string} topic site/metric/key
 */
export const encodeTopic = (topic) => topic.split('/').map(encodeURIComponent).join('/');

/**
 * Asserts that the visitor contributes an amount to a topic: over the client's connection, or by a request.
 * @param {import('./client.js').Client} client
 * @param {string} topic
 * @param {string | undefined} visitor undefined lets the service derive one
 * @param {number} amount
 * @param {boolean} [choice] the visitor chooses the option with this number; 0 withdraws
 * @returns {Promise<Answer>}
 */
export const assert = async (client, topic, visitor, amount, choice) => {
  const body = { visitor, [choice ? 'option' : 'amount']: amount };
  return (await client.assert({ assert: topic, ...body })) ?? post(client.api + 'v1/' + encodeTopic(topic), body, 'version');
};
