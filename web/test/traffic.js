/** Changes at a steady rate, as a busy site makes them. */
import { Agent, request } from 'node:http';

/** How often changes are sent, in milliseconds. */
const TICK = 10;

/**
 * Has somebody else press, over and over: each change is another than the one before it.
 * @param {string} url of the service
 * @param {string[]} topics pressed in turn
 * @param {number} rate changes a second
 */
export function storm(url, topics, rate) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const { hostname, port } = new URL(url);
  const since = Date.now();
  let sent = 0;
  let changed = 0;
  let ended = false;
  /** @type {unknown} */
  let failure;
  const press = () => {
    // In each round every topic changes once: pressed by a visitor, and taken back in the next but one.
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
    // Where the machine was busy elsewhere, what was missed is made good.
    const due = ((Date.now() - since) * rate) / 1000;
    while (sent < due) press();
  }, TICK);
  return {
    /** How many were acknowledged. */
    changed: () => changed,
    /** Why one was not, if one was not. */
    failure: () => failure,
    end() {
      clearInterval(timer);
      // What is on its way when the storm ends is nobody's failure.
      ended = true;
      agent.destroy();
    },
  };
}
