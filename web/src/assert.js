/**
 * Requests that carry the visitor's id.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the service answered with the required field
 * @property {number} status of a refusal; 0 without an answer
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
 * @property {object[]} [counts] with ok, of /v1/counts
 * @property {string} [code] of a refusal, such as `rate_limited`
 * @property {string} [message] of a refusal, for people
 * @property {number} retry how long the service asks to wait, in milliseconds; 0 if it does not say
 */

/**
 * How long an answer may take, in milliseconds. The service answers within 3 s even if its store hangs; the
 * rest is for slow networks.
 */
const TIMEOUT = 10_000;

/**
 * Returns the header Retry-After in milliseconds, at most an hour: timers overflow after 24 days. A date,
 * which some proxies send, is 0.
 * @param {Headers} headers
 */
export const retryAfter = (headers) => Math.min(/** @type {any} */ (headers.get('retry-after')) * 1e3, 36e5) || 0;

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
    return { ...answer, message: answer.detail, ok: ok && required in answer, status: ok ? 0 : status, retry: retryAfter(headers) };
  } catch {
    return { status: 0, retry: 0 };
  }
};

/**
 * Asserts that the visitor contributes an amount to a topic.
 * @param {string} api the service's URL
 * @param {string} topic
 * @param {string | undefined} visitor undefined lets the service derive one
 * @param {number} amount
 * @param {boolean} [choice] the visitor chooses the option with this number; 0 withdraws
 */
export const assert = (api, topic, visitor, amount, choice) =>
  post(api + 'v1/' + topic.split('/').map(encodeURIComponent).join('/'), { visitor, [choice ? 'option' : 'amount']: amount }, 'version');
