import { FULL } from './patience.js';
import { rare } from './rare.js';

/**
 * The ways to hear of changes, best first. Each is a function that opens a link and reports
 * through two callbacks; a link that was closed by its owner reports nothing more.
 *
 * @typedef {{ topic?: string, count: number, version: number, event?: string,
 *   error?: { code: string, message: string } }} Frame
 * @typedef {{ subscribe: string[], present: string[] }} Asked topics to follow, and to be present on
 * @typedef {Record<string, string[]>} Change what is asked for now and was not, and what no longer is
 *   (`unsubscribe`, `absent`)
 * @typedef {object} Link
 * @property {(change: Change) => boolean} change false where this link cannot, and is to be opened anew
 * @property {() => void} close
 *
 * @callback Open
 * @param {string} api where the service is, with a slash at the end
 * @param {() => Asked} asked
 * @param {(frame: Frame) => void} hear
 * @param {(wait: number) => void} ended how long the server asks to stay away, in milliseconds
 * @returns {Link}
 */

/** @type {Open} */
export function socket(api, asked, hear, ended) {
  /** @type {WebSocket} */
  let ws;
  try {
    ws = new WebSocket(api.replace('http', 'ws') + 'v1/ws');
  } catch {
    // The page's policy forbids sockets, and Firefox and WebKit say so by an exception.
    return rarely(api, asked, hear, ended);
  }
  const say = (/** @type {Change} */ change) => {
    for (const verb in change) {
      // Before it is open nothing needs saying: the first messages carry everything.
      if (change[verb].length && ws.readyState === 1) ws.send(JSON.stringify({ [verb]: change[verb] }));
    }
    return true;
  };
  ws.onopen = () => say(asked());
  ws.onmessage = ({ data }) => hear(JSON.parse(data));
  // A socket that the page's own policy forbids has an error and is never closed.
  ws.onclose = ws.onerror = (event) => ended(/** @type {CloseEvent} */ (event).code === 1013 ? FULL : 0);
  return {
    change: say,
    close() {
      ws.onmessage = ws.onclose = ws.onerror = null;
      ws.close();
    },
  };
}

/**
 * What serves where a WebSocket does not, once it is loaded.
 * @type {Open}
 */
export function rarely(api, asked, hear, ended) {
  let closed = false;
  /** @type {Link | undefined} */
  let link;
  rare().then(
    ({ open }) => closed || (link = open(api, asked, hear, ended)),
    () => closed || ended(0),
  );
  return {
    change: (change) => !link || link.change(change),
    close() {
      closed = true;
      link?.close();
    },
  };
}
