import { lazy } from './lazy.js';
import { FULL_DELAY } from './timeouts.js';

/**
 * A transport is a function that opens a link. It reports through two callbacks, and reports nothing after
 * close.
 *
 * @typedef {{ topic?: string, count: number, version: number, event?: string, id?: number, mine?: number,
 *   stale?: boolean, error?: { code: string, message: string, retry_after?: number, status?: number } }} Frame id: the answer to
 *   an assertion
 * @typedef {{ subscribe: string[], present: string[] }} Topics to subscribe to, and to be present on
 * @typedef {Record<string, string[]>} Change topics that are added (`subscribe`, `present`) and removed
 *   (`unsubscribe`, `absent`)
 * @typedef {object} Link
 * @property {(change: Change) => unknown} change returns true if the link must be opened again instead
 * @property {(message: object) => boolean} [send] sends an assertion, and returns false if the link is not open yet;
 *   absent if the link takes none
 * @property {() => void} close
 *
 * @callback Open
 * @param {string} api the service's URL
 * @param {() => Topics} topics
 * @param {(frame: Frame) => void} receive
 * @param {(wait: number) => void} ended gets how long the service asks to stay away, in milliseconds
 * @returns {Link}
 */

/** @type {Open} */
export function openSocket(api, topics, receive, ended) {
  /** @type {WebSocket} */
  let socket;
  try {
    socket = new WebSocket(api.replace('http', 'ws') + 'v1/ws');
  } catch {
    // The page's policy forbids sockets, which Firefox and WebKit report by an exception.
    return openFallback(api, topics, receive, ended);
  }
  const send = (/** @type {object} */ message) => socket.readyState === 1 && (socket.send(JSON.stringify(message)), true);
  const change = (/** @type {Change} */ change) => {
    // Before the socket is open there is nothing to send: its first messages have all topics.
    for (const verb in change) change[verb].length && send({ [verb]: change[verb] });
  };
  socket.onopen = () => change(topics());
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  // A socket that the page's policy forbids has an error and no close event.
  socket.onclose = socket.onerror = (event) => ended(/** @type {CloseEvent} */ (event).code === 1013 ? FULL_DELAY : 0);
  return {
    send,
    change,
    close() {
      socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    },
  };
}

/**
 * Opens a link without a WebSocket.
 * @type {Open}
 */
export function openFallback(api, topics, receive, ended) {
  let closed = false;
  /** @type {Link | undefined} */
  let link;
  lazy().then(
    ({ open }) => closed || (link = open(api, topics, receive, ended)),
    () => closed || ended(0),
  );
  return {
    change: (change) => link?.change(change),
    close() {
      closed = true;
      link?.close();
    },
  };
}
