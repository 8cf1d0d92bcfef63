/**
 * What a visitor contributes: said to the service over HTTP.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the store has it, or told it
 * @property {number} status of a refusal; 0 where no answer came
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
 * @property {object[]} [counts] with ok, of a question
 * @property {string} [code] of a refusal, from the contract's table
 * @property {string} [message] of a refusal, for people
 * @property {number} retry how long the server asks to wait, in milliseconds; 0 where it does not say
 */

/**
 * How long an answer may take, in milliseconds. The server answers within 3 s even when its
 * store hangs; the rest is for slow networks.
 */
const PATIENCE = 10_000;

/**
 * How long an answer asks to stay away, in milliseconds, an hour at most: beyond 24 days a timer would
 * run out at once. Some proxies name a date instead; that is no number, and 0.
 * @param {Headers} headers
 */
export const afterOf = (headers) => Math.min(/** @type {any} */ (headers.get('retry-after')) * 1e3, 36e5) || 0;

/**
 * Sends a body as text/plain, which spares a preflight. The request outlives the page.
 * @param {string} url
 * @param {object} body
 * @param {string} proof what an answer has that is one: a proxy's need not be
 * @returns {Promise<Answer>}
 */
export const post = async (url, body, proof) => {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      keepalive: true,
      signal: AbortSignal.timeout(PATIENCE),
    });
    const { ok, status, headers } = response;
    // A proxy's refusal need not be JSON; an acknowledgement must be.
    const answer = await response.json().catch(() => ({}));
    return { ...answer, message: answer.detail, ok: ok && proof in answer, status: ok ? 0 : status, retry: afterOf(headers) };
  } catch {
    return { status: 0, retry: 0 };
  }
};

/**
 * Says that the visitor contributes amount to the topic.
 * @param {string} api where the service is, with a slash at the end
 * @param {string} topic
 * @param {string | undefined} visitor undefined where the server is to derive one, for a day
 * @param {number} amount
 */
export const assert = (api, topic, visitor, amount) =>
  post(api + 'v1/' + topic.split('/').map(encodeURIComponent).join('/'), { visitor, amount }, 'version');
