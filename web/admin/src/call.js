/** The calls below /admin/v1/, with the cookie of whoever signed in. */

/** Why the service did not do what was asked. */
export class Refusal extends Error {
  name = 'Refusal';

  /**
   * @param {number} status
   * @param {string} code of the problem document; empty where none came
   * @param {string} message for people
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** What proves that a change was asked for by this page. */
let csrf = '';

/** @type {() => void} called when the session is found to be over */
let ended = () => {};

/** @param {() => void} listener */
export const whenEnded = (listener) => void (ended = listener);

/**
 * @param {string} method
 * @param {string} path below /admin/v1/
 * @param {unknown} [body] sent as JSON
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function send(method, path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  if (csrf) headers['Tally-Csrf'] = csrf;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(new URL(`v1/${path}`, location.href), { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, '', 'The service cannot be reached.');
  }
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Refusal(response.status, answer.code ?? '', answer.detail ?? `The service answered ${response.status}.`);
}

/**
 * Calls, and ends the session here where the service says that it is over.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 */
export async function call(method, path, body, signal) {
  try {
    try {
      return await send(method, path, body, signal);
    } catch (error) {
      // Another tab signed in since: what proves this page's changes is another.
      const before = csrf;
      if (!(error instanceof Refusal && error.code === 'origin_not_allowed') || !(await resume()) || csrf === before) throw error;
      return await send(method, path, body, signal);
    }
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) ended();
    throw error;
  }
}

/**
 * Reads with parameters, of which empty ones are left out.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [parameters]
 * @param {AbortSignal} [signal]
 */
export function read(path, parameters = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') query.set(name, String(value));
  return call('GET', query.size ? `${path}?${query}` : path, undefined, signal);
}

/** Finds out whether somebody is signed in. */
export async function resume() {
  try {
    ({ csrf } = await send('GET', 'session'));
    return true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return false;
    throw error;
  }
}

/** @param {string} token */
export async function signIn(token) {
  await send('POST', 'session', { token });
  await resume();
}

export async function signOut() {
  await send('DELETE', 'session').catch(() => {}); // who is not signed in is signed out
  csrf = '';
}

/** @param {string} topic site/metric/key */
export const topicPath = (topic) => `topics/${topic.split('/').map(encodeURIComponent).join('/')}`;
