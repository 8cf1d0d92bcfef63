/** A site that uses the elements: a server of a few pages on its own origin. */
import { createServer } from 'node:http';
import { startService } from './process.js';

/**
 * @typedef {object} Site
 * @property {string} [body]
 * @property {string} [head]
 * @property {string} [tag] instead of the usual script element
 * @property {string} [query] of the script's URL
 * @property {string} [html] attributes of the html element
 * @property {Record<string, string>} [headers]
 */

/**
 * Starts a service, and a site that uses it, with host names that are not local.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, Site>} pages by their paths
 * @param {{ store?: string, flags?: string[], local?: boolean }} [options] local uses
 *   127.0.0.1, for a browser without other host names
 */
export async function startSite(t, pages, { local = false, ...options } = {}) {
  const server = createServer((request, response) => {
    const page = pages[new URL(request.url ?? '', 'http://blog.example').pathname];
    if (!page) return void response.writeHead(404).end();
    const { body = '', head = '', query = '', html = 'lang="en"', headers = {} } = page;
    const tag = page.tag ?? `<script type="module" src="${site.api}/tally.js${query}"></script>`;
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers });
    response.end(`<!doctype html><html ${html}><head><title>A page</title><link rel="icon" href="data:,">${head}${tag}</head><body>${body}</body></html>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  const [page, api] = local ? ['127.0.0.1', '127.0.0.1'] : ['blog.example', 'tally.example'];
  const url = `http://${page}:${address.port}`;
  const service = await startService({ ...options, flags: [`--allow-origin=${url}`, ...(options.flags ?? [])] });
  const site = {
    url,
    api: `http://${api}:${service.port}`,
    service,
    pages,
    /**
     * Stops the service and starts it again at the same address.
     * @param {() => Promise<unknown>} [meanwhile]
     */
    async restart(meanwhile) {
      await site.service.stop();
      await meanwhile?.();
      site.service = await startService({ ...options, port: service.port, flags: [`--allow-origin=${url}`, ...(options.flags ?? [])] });
    },
  };
  t.after(() => site.service.stop());
  return site;
}
