import { connect } from './client.js';

/** @type {Map<string, import('./client.js').Client>} */
const clients = new Map();

/**
 * The one client of a service: elements, hooks and a program's own code share its connection.
 * @param {string | URL} api where the service is, with its base path
 */
export function clientOf(api) {
  const url = String(api).replace(/\/*$/, '/');
  let client = clients.get(url);
  if (!client) clients.set(url, (client = connect(url)));
  return client;
}
