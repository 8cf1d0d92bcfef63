/**
 * Posts JSON as text/plain, which spares a preflight across origins.
 * @param {string} url
 * @param {unknown} body
 * @param {RequestInit} init
 * @returns {Promise<{ response: Response, retry: number }>} retry is how long the server asks to
 *   wait, in milliseconds; 0 where it does not say
 */
export async function post(url, body, init) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), ...init });
  return { response, retry: Number(response.headers.get('retry-after')) * 1e3 };
}
