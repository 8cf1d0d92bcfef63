/** Changes at a steady rate, as on a busy site. */
import { Agent, request } from 'node:http';

/** How often changes are sent, in milliseconds. */
const TICK = 10;

/**
 * Presses as other visitors at a steady rate. Each assertion changes its topic.
 * @param {string} url of the service
 * @param {string[]} topics pressed in turn
 * @param {number} rate changes a second
 */
export function startTraffic(url, topics, rate) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const { hostname, port } = new URL(url);
  const since = Date.now();
  let sent = 0;
  let changed = 0;
  let ended = false;
  /** @type {unknown} */
  let failure;
  const press = () => {
    // In each round every topic changes once: one of eight visitors presses, and takes it back eight rounds later.
    const round = Math.floor(sent / topics.length);
    const topic = topics[sent++ % topics.length];
    const body = JSON.stringify({ visitor: `visitor-${round % 8}`, amount: Math.floor(round / 8) % 2 ? 0 : 1 });
    const asking = request({ agent, hostname, port, method: 'POST', path: `/v1/${topic}`, headers: { 'content-length': body.length } }, (response) => {
      if (response.statusCode === 200) changed++;
      else failure ??= new Error(`${topic}: ${response.statusCode}`);
      response.resume();
    });
    asking.on('error', (error) => ended || (failure ??= error));
    asking.end(body);
  };
  const timer = setInterval(() => {
    // Catch up after the machine was busy.
    const due = ((Date.now() - since) * rate) / 1000;
    while (sent < due) press();
  }, TICK);
  return {
    /** Returns how many changes were acknowledged. */
    changed: () => changed,
    /** Returns the first error, if any. */
    failure: () => failure,
    end() {
      clearInterval(timer);
      // Requests that are cut off here are no errors.
      ended = true;
      agent.destroy();
    },
  };
}
