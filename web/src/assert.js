/**
 * One assertion over HTTP.
 *
 * @typedef {object} Answer
 * @property {boolean} [ok] the store has it
 * @property {number} status of a refusal; 0 where no answer came
 * @property {number} [count] with ok
 * @property {number} [version] with ok
 * @property {number} [mine] with ok
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
 * Says that the visitor contributes amount to the topic. The body goes as text/plain, which
 * spares a preflight, and the request outlives the page.
 * @param {string} api where the service is, with a slash at the end
 * @param {string} topic
 * @param {string | undefined} visitor undefined where the server is to derive one, for a day
 * @param {number} amount
 * @returns {Promise<Answer>}
 */
export async function assert(api, topic, visitor, amount) {
  try {
    const response = await fetch(api + 'v1/' + topic.split('/').map(encodeURIComponent).join('/'), {
      method: 'POST',
      body: JSON.stringify({ visitor, amount }),
      keepalive: true,
      signal: AbortSignal.timeout(PATIENCE),
    });
    const { ok, status, headers } = response;
    // A proxy's refusal need not be JSON; an acknowledgement must be.
    const body = await response.json().catch(() => ({}));
    return { ...body, message: body.detail, ok: ok && 'version' in body, status: ok ? 0 : status, retry: afterOf(headers) };
  } catch {
    return { status: 0, retry: 0 };
  }
}
