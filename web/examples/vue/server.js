/** Renders the page with its number. The browser hydrates it. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { render } from './dist/render.js';

/** The service's URL, for the browser and for this server. */
const api = process.env.TALLYCAST_URL ?? 'http://localhost:8080';
const script = await readFile(new URL('dist/client.js', import.meta.url));

/** Returns the number to render; undefined if the service is away, and the element gets it later. */
async function likes() {
  try {
    return (await (await fetch(`${api}/v1/default/likes/posts/hello`)).json()).count;
  } catch {
    return undefined;
  }
}

createServer(async (request, response) => {
  if (request.url === '/client.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  if (request.url !== '/') return response.writeHead(404).end();
  const props = { api, count: await likes() };
  const json = JSON.stringify(props).replaceAll('<', '\\u003c');
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<!doctype html><html lang="en"><head><title>Hello</title><link rel="icon" href="data:,"></head><body><div id="app">${await render(props)}</div>
<script type="application/json" id="props">${json}</script><script type="module" src="/client.js"></script></body></html>`);
}).listen(Number(process.env.PORT ?? 3000), () => console.log('ready'));
