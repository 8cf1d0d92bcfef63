import { create, warn } from './dom.js';
import { format } from './format.js';
import { CHANGE_GRID, CHANGE_INTERVAL, ROLL_DURATION, reducedMotion } from './motion.js';
import { address, keyOf, noteNewHead } from './page.js';
import { shared } from './site.js';

/** Shows in the place of a number that is not known yet. */
const UNKNOWN = '‒';

/** How far from the viewport an element subscribes. */
const MARGIN = '300px';

/** How often a browser without the Navigation API looks at the address, in milliseconds. */
const NAVIGATION_INTERVAL = 200;

/** @type {IntersectionObserver | undefined} */
let viewport;

/** @type {Set<TallyElement>} the elements in the document */
const connected = new Set();

/** Whether pause(true) was called last. */
let allPaused = false;

/** Style sheets by their text: elements share them. */
const sheets = /** @type {Record<string, CSSStyleSheet>} */ ({});

/** @param {TallyElement} element */
const classOf = (element) => /** @type {typeof TallyElement} */ (element.constructor);

/**
 * The attributes of all elements, as properties.
 * @typedef {Record<'site' | 'metric' | 'page' | 'count' | 'live' | 'label' | 'kept' | 'refused', string | null>} Attributes
 */

/** On a server, which has no DOM, the classes are defined and never used. */
const Base = /** @type {new () => HTMLElement & Attributes} */ (globalThis.HTMLElement ?? class {});

/**
 * The base of all elements: finds the topic, subscribes to it and shows its number. It never changes the element's own
 * children; a slot shows them while there is no number.
 *
 * Subclasses have `static metric`, extend `static styles`, put `number` into the shadow tree, and may extend
 * `resolve`, `render`, `onChange` and `release`.
 */
export class TallyElement extends Base {
  static metric = 'likes';
  static styles =
    // The accent has a contrast of 3:1 with light and with dark backgrounds.
    ':host{display:inline-block;position:relative;--a:var(--tally-accent,#d81e5b)}' +
    ':host([hidden]),[hidden]{display:none!important}' +
    '[part=number]{display:inline-block;font-variant-numeric:tabular-nums}' +
    // The full number is below the element.
    '.note{position:absolute;top:100%;inset-inline:-9em;margin:.4em auto;z-index:1;width:fit-content;padding:.4em;' +
    'border:1px solid var(--tally-border,#888);border-radius:.6em;color:CanvasText;background:Canvas}' +
    // A live region must be rendered before it gets its text, or the text is not announced.
    '.note:empty{scale:0}' +
    // Messages are at the bottom of the window, where they cover no text next to the element.
    '[part=status]{position:fixed;inset:auto 0 0}' +
    // The full number shows on hover and focus.
    ':host(:not(:hover,:focus-within)) #exact,#exact:not(.note){display:none}';
  static observedAttributes = ['site', 'metric', 'page', 'count', 'live', 'label', 'kept', 'refused'];

  /** @type {import('./topic.js').Topic | undefined} */
  topic;
  number = create('span', { part: 'number' });
  /** The full number, if `number` is shortened. */
  exact = create('span', { id: 'exact', part: 'exact' });
  fallback = create('slot', {});
  /** Whether the element has been near the viewport. */
  near = false;

  /** @type {string | null | undefined} the topic's name; undefined if the page has no key, null before the first resolve */
  #name = null;
  /** @type {number | undefined} the number on screen */
  #count;
  /** @type {number | undefined} the visitor's contribution in the last event */
  #mine;
  #seedDue = false; // the count attribute was set for the next topic
  /** @type {(() => void) | undefined} */
  #unwatch;
  /** @type {import('./topic.js').Listener} */
  #listener = (reason, failure) => this.onChange(reason, failure);
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the number may not change again */
  #restTimer;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const { styles } = classOf(this);
    if (!sheets[styles]) (sheets[styles] = new CSSStyleSheet()).replaceSync(styles);
    root.adoptedStyleSheets = [sheets[styles]];
    root.append(this.exact, this.fallback);
    viewport ??= new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) if (isIntersecting) /** @type {TallyElement} */ (target).follow();
      },
      { rootMargin: MARGIN },
    );
    viewport.observe(this);
  }

  connectedCallback() {
    const element = /** @type {any} */ (this);
    for (const name of classOf(element).observedAttributes) {
      // A property that was set before the script ran hides the one that the script defined.
      if (Object.hasOwn(element, name)) {
        const value = element[name];
        delete element[name];
        element[name] = value;
      }
    }
    connected.add(this);
    this.resolve();
  }

  disconnectedCallback() {
    // An element that is only moved is connected again by then.
    queueMicrotask(() => {
      if (this.isConnected) return;
      connected.delete(this);
      this.release();
    });
  }

  /** Ends the subscription, and all else that the element does for its topic. */
  release() {
    clearTimeout(this.#restTimer);
    this.topic?.listeners.delete(this.#listener);
    this.#unwatch?.();
    this.#restTimer = this.#unwatch = undefined;
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    this.#seedDue ||= name === 'count';
    // Frameworks set several attributes in a row.
    queueMicrotask(() => this.resolve());
  }

  /** Returns the key of the element's page; undefined if it has none. */
  key() {
    return keyOf(this.page);
  }

  /** The language of numbers. */
  get language() {
    return /** @type {HTMLElement | null} */ (this.closest('[lang]'))?.lang;
  }

  get paused() {
    return allPaused || this.live === 'off';
  }

  /** Finds the topic that the attributes and the page name. */
  resolve() {
    if (!this.isConnected) return;
    const metric = this.metric ?? classOf(this).metric;
    const key = this.key();
    const name = key && `${this.site ?? shared.site}/${metric}/${key}`;
    if (name !== this.#name) {
      this.#name = name;
      this.release();
      this.topic = name ? shared.client.topic(name) : undefined;
      this.#count = undefined;
      if (!name) this.reportBadPage();
    }
    if (this.near) this.follow();
    this.topic?.listeners.add(this.#listener);
    if (this.#seedDue) this.topic?.seed(this.count);
    this.#seedDue = false;
    this.render();
  }

  reportBadPage() {
    this.onChange('error', {
      code: 'bad_topic',
      message: `${this.localName}: "${this.page ?? address()}" is not a page of this site`,
    });
  }

  /** Subscribes to the topic, once the element is near the viewport. */
  follow() {
    this.near = true;
    if (this.topic && this.isConnected) this.#unwatch ??= shared.client.watch(this.topic.name);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  onChange(reason, failure) {
    if (failure) {
      warn(failure);
      this.emit('error', failure);
    }
    this.render(reason);
  }

  /**
   * Brings the shadow tree up to date with the topic.
   * @param {import('./topic.js').Reason} [reason]
   * @returns {void}
   */
  render(reason) {
    const { failure, count, mine } = this.topic ?? /** @type {Partial<import('./topic.js').Topic>} */ ({});
    const before = this.#count;
    if (failure || count === undefined) return void (this.number.textContent = UNKNOWN);
    if (count === before && mine === this.#mine) return;
    const byServer = reason === 'server';
    if (byServer && before !== undefined && count !== before && (this.#restTimer || this.paused)) return;
    this.#count = count;
    this.#mine = mine;
    const { short, exact } = format(count, this.language);
    this.number.textContent = short;
    this.exact.textContent = exact;
    this.exact.className = short === exact ? '' : 'note';
    this.emit(before === undefined ? 'load' : 'change', { count, mine, source: byServer ? reason : 'visitor' });
    if (before === undefined || count === before) return;
    const resting = this.#restTimer;
    clearTimeout(resting);
    this.#restTimer = setTimeout(() => {
      this.#restTimer = undefined;
      this.render('server');
    }, CHANGE_INTERVAL + CHANGE_GRID - (Date.now() % CHANGE_GRID));
    // Presses in quick succession would make the number flicker.
    if (resting || reducedMotion()) return;
    const from = count > before ? 0.5 : -0.5;
    this.number.animate({ translate: [`0 ${from}em`, '0'], opacity: [0, 1] }, ROLL_DURATION);
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent('tally-' + name, { detail, bubbles: true, composed: true }));
  }
}

/**
 * Registers an element, and gives it a property for each attribute.
 * @param {string} name
 * @param {typeof TallyElement} element
 */
export function define(name, element) {
  for (const attribute of element.observedAttributes) {
    Object.defineProperty(element.prototype, attribute, {
      get() {
        return this.getAttribute(attribute);
      },
      set(value) {
        if ((value ?? false) === false) this.removeAttribute(attribute);
        else this.setAttribute(attribute, value);
      },
    });
  }
  customElements.get(name) ?? customElements.define(name, element);
}

/**
 * Pauses all numbers and lists, or resumes them. The visitor's own presses still show.
 * @param {boolean} on
 */
export function pause(on) {
  allPaused = on;
  connected.forEach((element) => element.render('server'));
}

/** Resolves the elements again after client-side navigation. */
export function followNavigation() {
  let last = address().href;
  const check = () => {
    if (last !== (last = address().href)) connected.forEach((element) => element.resolve());
  };
  // The router may write the canonical link after the address, in the same turn.
  const checkSoon = () => queueMicrotask(check);
  const { navigation } = /** @type {any} */ (globalThis);
  // Firefox before 147 and Safari before 26.2 have no event for a router's navigation.
  if (navigation) navigation.addEventListener('currententrychange', checkSoon);
  else setInterval(check, NAVIGATION_INTERVAL);
  new MutationObserver(checkSoon).observe(document.head, { subtree: true, childList: true, attributes: true });
  // Routers that replace the document keep a link that is the same in both pages.
  for (const event of ['astro:after-swap', 'turbo:render']) {
    document.addEventListener(event, () => {
      noteNewHead();
      check();
    });
  }
}
