/** The client without the elements: `import { connect } from '@tallycast/web'`. */
import { clientOf } from './client.js';
import { countsOf } from './counts.js';
import { signIn } from './lazy.js';
import { loadTopic } from './storage.js';

/**
 * @typedef {object} State
 * @property {number | undefined} count the number to show; undefined while it is unknown
 * @property {number} mine the visitor's contribution; in a choice metric the option, from 1 on, or 0
 * @property {number[]} [options] of a choice metric: the count of each option
 * @typedef {'server' | 'visitor'} Source who changed the number: others, or this page's visitor
 */

/** Why the service refused a press, or does not have a topic. */
export class TallyError extends Error {
  name = 'TallyError';

  /**
   * @param {string} code of the service, such as `rate_limited`
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
 *   subscribes until the returned function is called. It calls the listener at once if the number is known, and
 *   after each change; it calls refused if a press of this page was taken back, or the service does not have the topic
 * @property {(amount: number) => Promise<State>} contribute sets what this visitor contributes, and shows it at once.
 *   It resolves when the service has it, however long that takes; it rejects with a TallyError, and takes the
 *   change back, if the service refuses it
 * @property {(option: number) => Promise<State>} choose chooses an option of a choice metric, from 1 on; 0 takes the
 *   choice back
 * @property {() => Promise<State>} like contribute(1)
 * @property {() => Promise<State>} unlike contribute(0)
 * @property {(count: number) => void} seed sets the number that the page was rendered with
 */

/**
 * @typedef {object} Tally the topics of one service
 * @property {import('./client.js').Status} status the event `tally-status` on the document tells of a change
 * @property {(name: string) => Topic} topic
 * @property {(getToken: import('./signin.js').GetToken | null) => Promise<void>} identify says who reads the page: a function
 *   that returns the token by which the site's backend signs it, or nothing if nobody is signed in. It is called again
 *   shortly before the token expires. null after signing out
 */

/**
 * Connects to a service. It opens nothing, and touches no DOM, before a topic is subscribed to, so that a server
 * may call it.
 * @param {{ api: string | URL }} options api is the service's URL with its base path
 * @returns {Tally}
 */
export function connect({ api }) {
  const client = clientOf(api);
  /** @type {Map<string, Topic>} */
  const topics = new Map();
  return {
    get status() {
      return client.status;
    },
    identify: (getToken) => signIn().then(({ identify }) => identify(client, getToken)),
    topic(asked) {
      // The service's frames use this form of the name.
      const name = asked.normalize().replace(/\/$/, '');
      let topic = topics.get(name);
      if (!topic) topics.set(name, (topic = wrap(client, name)));
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
  let state = { count: inner.count, mine: inner.mine };
  /** @type {number[] | undefined} of the service, in state */
  let received;
  const current = () => {
    const { count, mine, options } = inner;
    if (count !== state.count || mine !== state.mine || options !== received) {
      received = options;
      state = { count, mine, ...(options && { options: countsOf(inner, options.length) }) };
    }
    return state;
  };
  const errorOf = (/** @type {import('./topic.js').Failure} */ { code = 'internal', message = code }) => new TallyError(code, message);
  /** @type {Topic} */
  const topic = {
    name,
    get state() {
      return current();
    },
    subscribe(listener, refused) {
      let last = current();
      /** @type {import('./topic.js').Listener} */
      const onChange = (reason, failure) => {
        if (failure) refused?.(errorOf(failure));
        const before = last;
        last = current();
        if (last !== before) listener(last, reason === 'server' ? 'server' : 'visitor');
      };
      inner.listeners.add(onChange);
      const unwatch = client.watch(name);
      if (last.count !== undefined) listener(last, 'server');
      return () => {
        inner.listeners.delete(onChange);
        unwatch();
      };
    },
    contribute(amount) {
      return new Promise((resolve, reject) => {
        /** @type {import('./topic.js').Listener} */
        const onChange = (reason, failure) => {
          if (reason === 'refused' && failure) reject(errorOf(failure));
          else if (loadTopic(client.key, name).wish === undefined) resolve(current());
          else return;
          inner.listeners.delete(onChange);
        };
        inner.contribute(amount);
        inner.listeners.add(onChange);
      });
    },
    choose(option) {
      inner.choice = true;
      return topic.contribute(option);
    },
    like: () => topic.contribute(1),
    unlike: () => topic.contribute(0),
    seed: (count) => inner.seed(count),
  };
  return topic;
}
