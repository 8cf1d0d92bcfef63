/** What few pages need. Below, the ways to hear of changes where a WebSocket does not get through. */
import { afterOf } from './assert.js';

export { ask } from './ask.js';

/** @typedef {import('./transport.js').Open} Open */

/** Time between two questions when nothing can be pushed, in milliseconds. */
const POLL = 10_000;

/**
 * How long to stay away from a service that does not allow this page's origin, in milliseconds:
 * asking again cannot help before somebody sets a flag. A page that is seen again asks at once.
 */
const FORBIDDEN = 3_600_000;

/** @type {Set<string>} refusals that the console was told of, once each */
const told = new Set();

/**
 * Opens a link that asks with its topics in the body, as text/plain, which spares a preflight.
 * @param {string} url
 * @param {() => object} body
 * @param {(wait: number) => void} ended
 * @param {(response: Response) => Promise<number | void>} read takes what an answer brings, and
 *   returns after how long to ask again, in milliseconds; nothing ends the link
 * @returns {import('./transport.js').Link}
 */
function asking(url, body, ended, read) {
  const stop = new AbortController();
  let wait = 0;
  const ask = async () => {
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body()), signal: stop.signal });
    wait = afterOf(response.headers);
    if (!response.ok) {
      const { code, detail } = await response.json();
      if (code === 'origin_not_allowed') wait = FORBIDDEN;
      // It names what would allow it, such as an origin's flag.
      if (!told.has(detail)) console.warn('tallycast:', code, detail);
      told.add(detail);
    }
    const again = response.ok && (await read(response));
    if (!again) throw 0;
    setTimeout(course, again);
  };
  const course = () => ask().catch(() => stop.signal.aborted || ended(wait));
  course();
  return {
    change: ({ subscribe, present, absent }) => !(subscribe.length + present.length + absent.length),
    close: () => stop.abort(),
  };
}

/** @type {Open} */
const stream = (api, asked, hear, ended) =>
  asking(api + 'v1/stream', () => ({ topics: asked().subscribe, present: asked().present }), ended, async ({ body }) => {
    const reader = /** @type {ReadableStream} */ (body).pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '', chunk; !(chunk = await reader.read()).done; ) {
      const lines = (rest + chunk.value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data:')) hear(JSON.parse(line.slice(5)));
    }
  });

/**
 * Questions keep nobody present: only a connection does.
 * @type {Open}
 */
const poll = (api, asked, hear, ended) =>
  asking(api + 'v1/counts', () => ({ topics: asked().subscribe }), ended, async (response) => {
    for (const count of (await response.json()).counts) hear(count);
    hear(/** @type {import('./transport.js').Frame} */ ({ event: 'live' }));
    return POLL;
  });

/**
 * How long a second-best way is held before the best is tried again, in milliseconds: a proxy that
 * was starting up must not leave a page on streaming for the day.
 */
const SECOND_BEST = 300_000;

/** A stream that brings nothing for so long does not get through, in milliseconds: less than the client waits. */
const DEAF = 8000;

/** @type {Open} */
export function open(api, asked, hear, ended) {
  /** @param {(wait: number) => void} failed */
  const listen = (failed) => {
    link = stream(
      api,
      asked,
      (frame) => {
        clearTimeout(deaf);
        // What was heard, however early, came through.
        failed = ended;
        hear(frame);
      },
      (wait) => failed(wait),
    );
  };
  /** Where streams bring nothing, questions are asked; where nobody answers these either, it is over. */
  const question = () => {
    clearTimeout(deaf);
    link.close();
    link = poll(api, asked, hear, ended);
  };
  /** @type {import('./transport.js').Link} */
  let link;
  const deaf = setTimeout(question, DEAF);
  const best = setTimeout(ended, SECOND_BEST, 0);
  listen(question);
  return {
    change: (change) => link.change(change),
    close() {
      clearTimeout(best);
      clearTimeout(deaf);
      link.close();
    },
  };
}
