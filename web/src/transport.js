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
 * Opens a link whose course is an asynchronous function, which returns how long to stay away.
 * @param {(wait: number) => void} ended
 * @param {(signal: AbortSignal) => Promise<number>} course
 * @returns {Link}
 */
function follow(ended, course) {
  const stop = new AbortController();
  course(stop.signal)
    .catch(() => 0)
    .then((wait) => stop.signal.aborted || ended(wait));
  return { change: (add) => !add.length, close: () => stop.abort() };
}

/**
 * Asks with a list of topics in the body, as text/plain, which spares a preflight.
 * @param {string} url
 * @param {string[]} topics
 * @param {AbortSignal} signal
 */
const ask = (url, topics, signal) =>
  fetch(url, { method: 'POST', body: JSON.stringify({ topics }), signal });

/** @type {Open} */
export function stream(api, topics, hear, ended) {
  return follow(ended, async (signal) => {
    const response = await ask(api + 'v1/stream', topics(), signal);
    let wait = Number(response.headers.get('retry-after')) * 1e3;
    if (!response.ok) hear({ error: await response.json(), count: 0, version: 0 });
    else if (response.body) {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = '', chunk; !(chunk = await reader.read()).done; ) {
        const lines = (rest + chunk.value).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line.startsWith('data:')) hear(JSON.parse(line.slice(5)));
          else if (line.startsWith('retry:')) wait = Number(line.slice(6));
        }
      }
    }
    return wait;
  });
}

/** @type {Open} */
export function poll(api, topics, hear, ended) {
  return follow(ended, async (signal) => {
    for (let i = 0; i < POLLS && !signal.aborted; i++) {
      const response = await ask(api + 'v1/counts', topics(), signal);
      if (!response.ok) return Number(response.headers.get('retry-after')) * 1e3;
      for (const count of (await response.json()).counts) hear(count);
      hear({ event: 'live', count: 0, version: 0 });
      await new Promise((done) => setTimeout(done, POLL));
    }
    return 0;
  });
}
