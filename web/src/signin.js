/** Readers who sign in: the site's backend signs who they are. This is a separate script, which the first use loads. */
import { assert as assertFor, encodeTopic, post } from './assert.js';
import { fetchContributions } from './contributions.js';

/**
 * @typedef {() => string | null | undefined | Promise<string | null | undefined>} GetToken returns the reader's token, or
 *   nothing if nobody is signed in
 * @typedef {import('./client.js').Client} Client
 */

/** A token is requested again when it has this long to live, but at least at half of its life, in milliseconds. */
const RENEWAL = 60_000;

/** The shortest time between two requests for tokens, in milliseconds. A token may live for less by mistake. */
const MIN_RENEWAL = 1000;

/** Timers overflow after 24 days. */
const MAX_TIMER = 2 ** 31 - 1;

/** The most topics of one call. */
const MAX_TOPICS = 1000;

/** @type {WeakMap<Client, Reader>} */
const readers = new WeakMap();

/** @type {WeakSet<Client>} whose assertions pass through this module */
const hooked = new WeakSet();

/** The reader of a client's topics, after identify. */
class Reader {
  /** @type {string | null | undefined} */
  #token;
  /** getToken has answered. */
  #isKnown = false;
  #renewAt = 0;
  /** @type {Promise<string | null | undefined> | undefined} the request in flight */
  #request;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {Client} client
   * @param {GetToken} getToken
   */
  constructor(client, getToken) {
    this.client = client;
    this.getToken = getToken;
    /** The entry of the browser's own id. */
    this.own = client.key;
  }

  get signedIn() {
    return !!this.#token;
  }

  get anonymous() {
    return this.#isKnown && !this.#token;
  }

  get #isCurrent() {
    return readers.get(this.client) === this;
  }

  /** Returns a token that is valid for a while; nothing if nobody is signed in. */
  token() {
    return this.#token && Date.now() < this.#renewAt ? this.#token : this.renew();
  }

  /** Requests a token, once at a time. */
  renew() {
    return (this.#request ??= this.#load().finally(() => (this.#request = undefined)));
  }

  async #load() {
    clearTimeout(this.#timer);
    const token = await this.getToken();
    if (!this.#isCurrent) return;
    const before = !!this.#token;
    this.#token = token;
    this.#isKnown = true;
    if (token) this.#schedule(lifetimeOf(token));
    if (!token === before) this.#change();
    return token;
  }

  /** @param {number} lifetime in milliseconds */
  #schedule(lifetime) {
    const wait = Math.max(MIN_RENEWAL, lifetime - RENEWAL, lifetime / 2);
    this.#renewAt = Date.now() + wait;
    // A failure is reported by the next assertion, which requests the token again.
    this.#timer = setTimeout(() => this.renew().catch(() => {}), Math.min(wait, MAX_TIMER));
  }

  /** The reader signed in or out: the client's topics are those of another visitor. */
  #change() {
    const { client } = this;
    // The name is a symbol, which localStorage does not take: the entry lives as long as the page, and the likes
    // of a reader who signs out leave no trace in a browser that others use, too.
    client.key = this.signedIn ? /** @type {any} */ (Symbol('reader')) : this.own;
    const topics = Object.values(client.topics);
    for (const topic of topics) topic.reload();
    if (this.signedIn) fetchMine(client, topics);
    document.dispatchEvent(new CustomEvent('tally-identity', { detail: { signedIn: this.signedIn } }));
    if (this.anonymous) offerEverywhere(client);
  }

  end() {
    clearTimeout(this.#timer);
    const wasSignedIn = this.signedIn;
    this.#token = undefined;
    if (wasSignedIn) this.#change();
  }
}

/**
 * Returns the remaining life of a token that was just received, in milliseconds; a minute if it has no times. The
 * browser's clock may be wrong: iat says when the token was made.
 * @param {string} token
 */
function lifetimeOf(token) {
  try {
    const { exp, iat = Date.now() / 1e3 } = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return (exp - iat) * 1e3 || RENEWAL;
  } catch {
    return RENEWAL; // the service answers what is wrong with it
  }
}

/**
 * Fetches the contributions that the reader made on any device.
 * @param {Client} client
 * @param {import('./topic.js').Topic[]} topics
 */
function fetchMine(client, topics) {
  // The service may have counted visits under the browser's own id.
  const asked = topics.filter(({ name }) => !isVisit(name));
  for (let i = 0; i < asked.length; i += MAX_TOPICS) fetchContributions(client, asked.slice(i, i + MAX_TOPICS), undefined);
}

/**
 * Reports whether contributions to a topic are visits, which keep the browser's own id after signing in.
 * @param {string} topic
 */
const isVisit = (topic) => /^(visitors|views)$/.test(topic.split('/')[1]);

/**
 * Makes the client's assertions and topics those of its reader.
 * @param {Client} client
 */
function hook(client) {
  if (hooked.has(client)) return;
  hooked.add(client);
  const { assert, topic } = client;
  // If the token cannot be requested, topics keep their known contributions.
  client.token = async () => (await readers.get(client)?.token()) ?? undefined;
  client.assert = async (message) => {
    const reader = readers.get(client);
    const { assert: name, ...body } = /** @type {{ assert: string }} */ (message);
    if (!reader?.signedIn || isVisit(name)) return assert(message);
    const send = async () => {
      const visitor_token = await reader.token();
      if (!visitor_token) return { error: { code: 'bad_visitor', message: 'The reader signed out.', status: 400 } };
      return (await assert({ ...message, visitor_token })) ?? post(client.api + 'v1/' + encodeTopic(name), { ...body, visitor_token }, 'version');
    };
    try {
      const answer = await send();
      if (answer.error?.code !== 'bad_visitor') return answer;
      // The device may have slept until the token was expired.
      await reader.renew();
      return await send();
    } catch {
      return { error: { status: 0 } }; // the token cannot be requested now: try again later
    }
  };
  client.topic = (name) => {
    const isNew = !client.topics[name];
    const made = topic(name);
    if (isNew && readers.get(client)?.signedIn) queueMicrotask(() => fetchMine(client, [made]));
    return made;
  };
  document.addEventListener('tally-load', (event) => void offerBeforePress(client, /** @type {Element} */ (event.composedPath()[0])));
  // All elements of the topic report the refusal, one after the other.
  /** @type {object | undefined} */
  let refusal;
  document.addEventListener('tally-error', (event) => {
    const element = /** @type {HTMLElement} */ (event.composedPath()[0]);
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail?.code !== 'signed_visitor_required' || !element.shadowRoot?.querySelector('button,input')) return;
    offerSignIn(element);
    if (refusal !== detail) requestSignIn(element);
    refusal = detail;
  });
}

/**
 * Reports whether nobody is signed in; false until getToken has answered.
 * @param {Client} client
 */
const isAnonymous = (client) => readers.get(client)?.anonymous ?? true;

/** The elements by which readers contribute. */
const CONTRIBUTING = 'tally-like,tally-claps,tally-poll,tally-rating,tally-vote';

/**
 * @type {Record<string, Promise<boolean>>} whether a site takes contributions from signed-in readers only, by the address of
 *   its service and its name. After a failed request there is no entry.
 */
const signedOnly = {};

/**
 * Asks the service whether the site of a topic takes contributions from signed-in readers only, with a withdrawal by a
 * visitor who contributed nothing. Such a site refuses it; on others it changes nothing.
 * @param {Client} client
 * @param {import('./topic.js').Topic} topic
 */
function isSignedOnly(client, { name, choice }) {
  const site = client.api + name.split('/')[0];
  return (signedOnly[site] ??= assertFor(client, name, 'nobody-' + Math.random().toString(36).slice(2), 0, choice).then(({ error }) => {
    const required = error?.code === 'signed_visitor_required';
    // After another error the next element asks again.
    if (error && !required) delete signedOnly[site];
    return required;
  }));
}

/**
 * Shows the button of an element of the client before a press, if nobody is signed in and the site needs it. Reactions
 * show one button.
 * @param {Client} client
 * @param {Element} element
 */
async function offerBeforePress(client, element) {
  const { topic } = /** @type {import('./element.js').TallyElement} */ (element);
  const { host } = /** @type {ShadowRoot} */ (element.getRootNode());
  if (!topic || client.topics[topic.name] !== topic || !element.matches(CONTRIBUTING) || !isAnonymous(client)) return;
  if (host?.localName === 'tally-reactions' && host.shadowRoot?.querySelector(CONTRIBUTING) !== element) return;
  if ((await isSignedOnly(client, topic)) && isAnonymous(client)) offerSignIn(/** @type {HTMLElement} */ (element));
}

/**
 * @param {Client} client
 * @param {Document | ShadowRoot} root
 */
function offerEverywhere(client, root = document) {
  for (const element of root.querySelectorAll('*')) {
    offerBeforePress(client, element);
    if (element.shadowRoot) offerEverywhere(client, element.shadowRoot);
  }
}

/** @param {HTMLElement} element */
const requestSignIn = (element) => element.dispatchEvent(new CustomEvent('tally-sign-in', { bubbles: true, composed: true }));

/**
 * Shows a button that asks to sign in. The page may replace it: `<a slot="sign-in" href="/login">`. A press of the
 * button, or of the element, sends the event `tally-sign-in` to the page.
 * @param {HTMLElement} element
 */
function offerSignIn(element) {
  const root = element.shadowRoot;
  if (!root || root.querySelector('[name=sign-in]')) return;
  const button = document.createElement('button');
  button.part.add('sign-in');
  button.textContent = 'Sign in';
  // A link below the element. Properties are set one by one: policies of pages forbid style attributes.
  Object.assign(button.style, { border: '0', background: 'none', padding: '.3em', font: 'inherit', fontSize: '.8em', textDecoration: 'underline', cursor: 'pointer' });
  const slot = document.createElement('slot');
  slot.name = 'sign-in';
  slot.style.display = 'block';
  slot.onclick = () => requestSignIn(element);
  slot.append(button);
  root.append(slot);
  document.addEventListener('tally-identity', () => slot.remove(), { once: true });
}

/**
 * Says who reads the page: getToken returns the token that the site's backend signs. It is called at once, and again
 * shortly before the token expires. Without a token the browser's own id counts again.
 * @param {Client} client
 * @param {GetToken | null} [getToken] null if the reader signed out
 */
export async function identify(client, getToken) {
  hook(client);
  readers.get(client)?.end();
  readers.delete(client);
  if (getToken) {
    const reader = new Reader(client, getToken);
    readers.set(client, reader);
    await reader.renew();
  }
  if (isAnonymous(client)) offerEverywhere(client);
}
