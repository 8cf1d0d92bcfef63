/** Code that few pages need: the transports without a WebSocket, and the question for the visitor's contributions. */
import { retryAfter } from './assert.js';
import { warn } from './dom.js';

export { confirmLater, fetchContributions } from './contributions.js';

/** @typedef {import('./transport.js').Open} Open */

/** Time between two requests of polling, in milliseconds. */
const POLL_INTERVAL = 10_000;

/**
 * How long to stay away from a service that does not allow the page's origin, in milliseconds: only the
 * service's owner can change that. A page that becomes visible again asks at once.
 */
const FORBIDDEN_DELAY = 3_600_000;

/** A stream without a frame for this long does not work here, in milliseconds: less than the client's own timeout. */
const FIRST_FRAME_TIMEOUT = 8000;

/** How long a fallback is used before the socket is tried again, in milliseconds: the network may have changed. */
const RETRY_SOCKET = 300_000;

/** Messages of refusals that the console has: each link is refused for the same reason. */
const reported = new Set();

/**
 * Opens a link that posts its topics as text/plain, which needs no preflight.
 * @param {string} url
 * @param {() => object} body
 * @param {(wait: number) => void} ended
 * @param {(response: Response) => Promise<number | void>} read returns after how many milliseconds to request
 *   again; without a number the link ends
 * @returns {import('./transport.js').Link}
 */
function openRequests(url, body, ended, read) {
  const abort = new AbortController();
  let wait = 0;
  const request = async () => {
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body()), signal: abort.signal });
    wait = retryAfter(response.headers) * 1e3;
    if (!response.ok) {
      const { code, detail } = await response.json();
      if (code === 'origin_not_allowed') wait = FORBIDDEN_DELAY;
      if (!reported.has(detail)) warn({ code, message: detail });
      reported.add(detail);
    }
    const again = response.ok && (await read(response));
    if (!again) throw 0;
    setTimeout(run, again);
  };
  const run = () => request().catch(() => abort.signal.aborted || ended(wait));
  run();
  return {
    change: ({ subscribe, present, absent }) => subscribe.length + present.length + absent.length > 0,
    close: () => abort.abort(),
  };
}

/** @type {Open} */
const openStream = (api, topics, receive, ended) =>
  openRequests(api + 'v1/stream', () => ({ topics: topics().subscribe, present: topics().present }), ended, async ({ body }) => {
    const reader = /** @type {ReadableStream} */ (body).pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '', chunk; !(chunk = await reader.read()).done; ) {
      const lines = (rest + chunk.value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data:')) receive(JSON.parse(line.slice(5)));
    }
  });

/**
 * Polls the counts. It makes no reader present: only a connection does.
 * @type {Open}
 */
const openPolling = (api, topics, receive, ended) =>
  openRequests(api + 'v1/counts', () => ({ topics: topics().subscribe }), ended, async (response) => {
    /** @type {import('./transport.js').Frame[]} */
    const counts = (await response.json()).counts;
    for (const count of counts) receive(count);
    receive(/** @type {import('./transport.js').Frame} */ ({ event: counts.some(({ stale }) => stale) ? 'stale' : 'live' }));
    return POLL_INTERVAL;
  });

/**
 * Opens a stream, and polls if the stream brings nothing.
 * @type {Open}
 */
export function open(api, topics, receive, ended) {
  const poll = () => {
    clearTimeout(silence);
    link.close();
    link = openPolling(api, topics, receive, ended);
  };
  let streamEnded = /** @type {(wait: number) => void} */ (poll);
  const silence = setTimeout(poll, FIRST_FRAME_TIMEOUT);
  const retry = setTimeout(ended, RETRY_SOCKET, 0);
  let link = openStream(
    api,
    topics,
    (frame) => {
      clearTimeout(silence);
      // Streams work here: after this one the client opens another link.
      streamEnded = ended;
      receive(frame);
    },
    (wait) => streamEnded(wait),
  );
  return {
    change: (change) => link.change(change),
    close() {
      clearTimeout(retry);
      clearTimeout(silence);
      link.close();
    },
  };
}
