/** Calls below /admin/v1/, with the cookie of the session. */
import { encodeTopic } from '../../src/assert.js';

/** The error of a call. */
class CallError extends Error {
  name = 'CallError';

  /**
   * @param {number} status 0 if the service cannot be reached
   * @param {string} code of the problem document; may be empty
   * @param {string} message for people
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The CSRF token of the session: it proves that this page sent a change. */
let csrf = '';

/** The role and the sites of the session. @type {{ role: string, sites: string[] }} */
export const session = { role: '', sites: [] };

const ROLES = ['', 'viewer', 'editor', 'admin'];

/**
 * Returns whether the session's role includes another. The service checks each call, too.
 * @param {string} role
 */
export const may = (role) => ROLES.indexOf(session.role) >= ROLES.indexOf(role);

/** @type {() => void} called when the session has ended */
let onSessionEnd = () => {};

/** @param {() => void} listener */
export const listenSessionEnd = (listener) => void (onSessionEnd = listener);

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
    throw new CallError(0, '', 'Cannot reach the service. Check that it is running.');
  }
  if (response.status === 204) return undefined;
  /** @type {any} */
  let answer = {};
  try {
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (response.ok) throw new CallError(0, '', 'The connection to the service was lost.');
  }
  if (response.ok) return answer;
  throw new CallError(response.status, answer.code ?? '', answer.detail ?? `The service responded with status ${response.status}.`);
}

/**
 * Sends a call. Ends the session on this page if the service reports that it has ended.
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
      // After another tab signs in, this page's CSRF token is outdated.
      const before = csrf;
      if (!(error instanceof CallError && error.code === 'origin_not_allowed') || !(await resumeSession()) || csrf === before) throw error;
      return await send(method, path, body, signal);
    }
  } catch (error) {
    if (error instanceof CallError && error.status === 401) onSessionEnd();
    throw error;
  }
}

/**
 * Sends a GET with parameters. Empty ones are left out.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [parameters]
 * @param {AbortSignal} [signal]
 */
export function get(path, parameters = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') query.set(name, String(value));
  return call('GET', query.size ? `${path}?${query}` : path, undefined, signal);
}

/**
 * Sends a GET to the public calls, which are below /v1/ and not /admin/v1/.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} parameters
 * @param {AbortSignal} signal
 */
export const getPublic = (path, parameters, signal) => get(`../../v1/${path}`, parameters, signal);

/** Returns whether there is a session. */
export async function resumeSession() {
  try {
    ({ csrf, role: session.role = 'admin', sites: session.sites = [] } = await send('GET', 'session'));
    return true;
  } catch (error) {
    if (error instanceof CallError && error.status === 401) return false;
    throw error;
  }
}

/** @param {string} token */
export async function signIn(token) {
  await send('POST', 'session', { token });
  await resumeSession();
}

export async function signOut() {
  await send('DELETE', 'session').catch(() => {}); // without a session there is nothing to end
  csrf = '';
}

/** @param {string} topic site/metric/key */
export const topicPath = (topic) => `topics/${encodeTopic(topic)}`;
