/** The client without the elements: `import { connect } from '@tallycast/web'`. */
import { clientOf } from './clients.js';
import { recallTopic } from './memory.js';

/**
 * @typedef {object} State
 * @property {number | undefined} count the number to show; undefined while nothing is known
 * @property {number} mine what this browser's visitor contributes
 * @typedef {'server' | 'visitor'} Source who changed the number: others, or this page's visitor
 */

/** Why a press was taken back, or a topic is none. */
export class TallyError extends Error {
  name = 'TallyError';

  /**
   * @param {string} code from the service's table, such as `rate_limited`
   * @param {string} message for people
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * One count: `site/metric/key`.
 *
 * @typedef {object} Topic
 * @property {string} name
 * @property {State} state the same object until something changes
 * @property {(listener: (state: State, source: Source) => void, refused?: (error: TallyError) => void) => () => void} subscribe
 *   has the number pushed, until the function returned is called. The listener is called at once
 *   where the number is known, and after each change; refused, when a press of this page was taken
 *   back or the service has no such topic
 * @property {(amount: number) => Promise<State>} contribute this visitor contributes so much from now
 *   on; shown at once. Resolves when the service has it, however long that takes; rejects with a
 *   TallyError when the service refused, and what was shown was taken back
 * @property {() => Promise<State>} like contribute(1)
 * @property {() => Promise<State>} unlike contribute(0)
 * @property {(count: number) => void} seed the number that the page was rendered with
 */

/**
 * @typedef {object} Tally what this page knows of one service
 * @property {import('./client.js').Status} status a change is told by `tally-status` on the document
 * @property {(name: string) => Topic} topic
 */

/**
 * Nothing is opened, and no DOM is touched, before a topic is subscribed to: on a server this
 * may be called, and does nothing.
 * @param {{ api: string | URL }} options api is where the service is, with its base path
 * @returns {Tally}
 */
export function connect({ api }) {
  const client = clientOf(api);
  /** @type {Map<string, Topic>} */
  const made = new Map();
  return {
    get status() {
      return client.status;
    },
    topic(asked) {
      // As the service calls it: its frames name their topics so.
      const name = asked.normalize().replace(/\/$/, '');
      let topic = made.get(name);
      if (!topic) made.set(name, (topic = wrap(client, name)));
      return topic;
    },
  };
}

/**
 * @param {import('./client.js').Client} client
 * @param {string} name
 * @returns {Topic}
 */
function wrap(client, name) {
  const inner = client.topic(name);
  /** @type {State} */
  let state = { count: inner.shown, mine: inner.own };
  const current = () => {
    const { shown, own } = inner;
    if (shown !== state.count || own !== state.mine) state = { count: shown, mine: own };
    return state;
  };
  const failed = (/** @type {import('./topic.js').Failure} */ { code = 'internal', message = code }) => new TallyError(code, message);
  /** @type {Topic} */
  const topic = {
    name,
    get state() {
      return current();
    },
    subscribe(listener, refused) {
      let seen = current();
      /** @type {import('./topic.js').Listener} */
      const hear = (reason, failure) => {
        if (failure) refused?.(failed(failure));
        const before = seen;
        seen = current();
        if (seen !== before) listener(seen, reason === 'server' ? 'server' : 'visitor');
      };
      inner.listeners.add(hear);
      const leave = client.watch(name);
      if (seen.count !== undefined) listener(seen, 'server');
      return () => {
        inner.listeners.delete(hear);
        leave();
      };
    },
    contribute(amount) {
      return new Promise((resolve, reject) => {
        /** @type {import('./topic.js').Listener} */
        const hear = (reason, failure) => {
          if (reason === 'refused' && failure) reject(failed(failure));
          else if (recallTopic(client.api, name).wish === undefined) resolve(current());
          else return;
          inner.listeners.delete(hear);
        };
        inner.press(amount);
        inner.listeners.add(hear);
      });
    },
    like: () => topic.contribute(1),
    unlike: () => topic.contribute(0),
    seed: (count) => inner.seed(count),
  };
  return topic;
}
