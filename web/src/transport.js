import { post } from './post.js';

/**
 * The ways to hear of changes, best first. Each is a function that opens a link and reports
 * through two callbacks; a link that was closed by its owner reports nothing more.
 *
 * @typedef {{ topic?: string, count: number, version: number, event?: string,
 *   error?: { code: string, message: string } }} Frame
 * @typedef {object} Link
 * @property {(add: string[], drop: string[]) => boolean} change follows more topics and fewer;
 *   false where this link cannot and is to be opened anew
 * @property {() => void} close
 *
 * @callback Open
 * @param {string} api where the service is, with a slash at the end
 * @param {() => string[]} topics what to follow
 * @param {(frame: Frame) => void} hear
 * @param {(wait: number) => void} ended how long the server asks to stay away, in milliseconds
 * @returns {Link}
 */

/** How long to stay away from an instance that is full (close code 1013), in milliseconds. */
const FULL = 15_000;

/** Time between two questions when nothing can be pushed, in milliseconds. */
const POLL = 10_000;

/** Questions before pushing is tried again: five minutes' worth. */
const POLLS = 30;

/** @type {Open} */
export function socket(api, topics, hear, ended) {
  const ws = new WebSocket(api.replace('http', 'ws') + 'v1/ws');
  const say = (/** @type {string} */ verb, /** @type {string[]} */ list) => {
    // Before it is open nothing needs saying: the first message carries all topics.
    if (list.length && ws.readyState === 1) ws.send(JSON.stringify({ [verb]: list }));
  };
  ws.onopen = () => say('subscribe', topics());
  ws.onmessage = ({ data }) => hear(JSON.parse(data));
  ws.onclose = ({ code }) => ended(code === 1013 ? FULL : 0);
  return {
    change(add, drop) {
      say('subscribe', add);
      say('unsubscribe', drop);
      return true;
    },
    close() {
      ws.onmessage = ws.onclose = null;
      ws.close();
    },
  };
}

/**
 * Opens a link that asks with its topics in the body, as text/plain, which spares a preflight.
 * @param {string} url
 * @param {() => string[]} topics
 * @param {(wait: number) => void} ended
 * @param {(response: Response) => Promise<number | void>} read takes what an answer brings, and
 *   returns after how long to ask again, in milliseconds; nothing ends the link
 * @returns {Link}
 */
function asking(url, topics, ended, read) {
  const stop = new AbortController();
  let wait = 0;
  const ask = async () => {
    const { response, retry } = await post(url, { topics: topics() }, { signal: stop.signal });
    wait = retry;
    const again = response.ok && (await read(response));
    if (!again) throw 0;
    setTimeout(course, again);
  };
  const course = () => ask().catch(() => stop.signal.aborted || ended(wait));
  course();
  return { change: (add) => !add.length, close: () => stop.abort() };
}

/** @type {Open} */
export const stream = (api, topics, hear, ended) =>
  asking(api + 'v1/stream', topics, ended, async ({ body }) => {
    const reader = /** @type {ReadableStream} */ (body).pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '', chunk; !(chunk = await reader.read()).done; ) {
      const lines = (rest + chunk.value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data:')) hear(JSON.parse(line.slice(5)));
    }
  });

/** @type {Open} */
export function poll(api, topics, hear, ended) {
  let polls = 0;
  return asking(api + 'v1/counts', topics, ended, async (response) => {
    for (const count of (await response.json()).counts) hear(count);
    hear(/** @type {Frame} */ ({ event: 'live' }));
    return polls++ < POLLS ? POLL : 0;
  });
}
