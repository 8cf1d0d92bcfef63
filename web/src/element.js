import { complain, make } from './dom.js';
import { format } from './format.js';
import { BEAT, PACE, ROLL, still } from './motion.js';
import { address, keyOf, written } from './page.js';
import { shared } from './site.js';

/** How far from the viewport an element begins to be pushed to. */
const NEAR = '300px';

/** @type {IntersectionObserver | undefined} */
let viewport;

/** @type {Set<TallyElement>} those that are in the document */
const present = new Set();

/** The visitor, or the page, wants no number to move by itself. */
let paused = false;

/** By their text: elements share them. */
const sheets = /** @type {Record<string, CSSStyleSheet>} */ ({});

/** @param {TallyElement} element */
const self = (element) => /** @type {typeof TallyElement} */ (element.constructor);

/** Where there is no DOM, as on a server, the elements are classes that nobody makes. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/**
 * What all elements share: which topic is meant, when it is pushed, how its number is shown.
 * The element's own children are never changed; they show through a slot while there is
 * nothing better.
 *
 * Subclasses have `static metric`, extend `static styles`, put `number` into the shadow tree, and
 * may extend `resolve`, `paint`, `hear` and `quit`.
 */
export class TallyElement extends Base {
  static metric = 'likes';
  static styles =
    ':host{display:inline-block;position:relative;anchor-name:--t;--a:var(--tally-accent,#d81e5b)}' +
    // A browser without light-dark() has the one that can be seen on light and on dark.
    '@supports(color:light-dark(#000,#000)){:host{--a:var(--tally-accent,light-dark(#d81e5b,#ff6b93))}}' +
    // A number that is not known yet leaves its place free.
    '[hidden]:not([part=number]),:host([hidden]){display:none!important}' +
    '[part=number]{display:inline-block;font-variant-numeric:tabular-nums}' +
    '[part=number][hidden]{visibility:hidden}' +
    '.sr{position:absolute;clip-path:inset(50%);width:1px;overflow:hidden;white-space:nowrap}' +
    // Notes are above the element. Without anchors (Safari before 26, Firefox before 147, Chrome before 125)
    // nothing keeps them within the window: there they are narrow.
    '.note{position:absolute;bottom:100%;inset-inline:-9em;margin-inline:auto;z-index:1;width:max-content;max-width:max(100%,6em);padding:.4em .8em;' +
    'font-size:.9rem;color:Canvas;background:CanvasText;forced-color-adjust:none}' +
    '@supports(position-area:top){.note{position:fixed;inset:auto;margin:0;max-width:20em;position-anchor:--t;position-area:top}}' +
    // A live region has to be rendered before its text comes, or the text is not announced.
    '.note:empty{padding:0;clip-path:inset(50%)}' +
    ':host(:not(:hover,:focus-within)) #exact,#exact:not(.note){display:none}';
  static observedAttributes = ['site', 'metric', 'page', 'count', 'live', 'label', 'kept', 'refused'];

  /** @type {import('./topic.js').Topic | undefined} */
  topic;
  number = make('span', { part: 'number' }, '0');
  /** The number in full, for those who see it shortened or not at all. */
  exact = make('span', { id: 'exact', part: 'exact' });
  fallback = make('slot', {});

  /** @type {string | null | undefined} of the topic; undefined where the page names none, null before */
  #name = null;
  /** @type {number | undefined} the number on screen */
  #shown;
  /** @type {number | undefined} the visitor's contribution that was told with it */
  #own;
  #fresh = false; // the count attribute was set for the topic that comes next
  /** The element has been near the viewport. */
  near = false;
  /** @type {(() => void) | undefined} ends the subscription */
  #end;
  /** @type {import('./topic.js').Listener} */
  #hear = (reason, failure) => this.hear(reason, failure);
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the number rests */
  #rest;
  /** @type {Animation[]} how the number rolls in, by its direction */
  #rolls = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const { styles } = self(this);
    if (!sheets[styles]) (sheets[styles] = new CSSStyleSheet()).replaceSync(styles);
    root.adoptedStyleSheets = [sheets[styles]];
    root.append(this.exact, this.fallback);
    viewport ??= new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) if (isIntersecting) /** @type {TallyElement} */ (target).follow();
      },
      { rootMargin: NEAR },
    );
    viewport.observe(this);
  }

  connectedCallback() {
    const own = /** @type {any} */ (this);
    for (const name of self(own).observedAttributes) {
      // What was set before the script ran stands in the way of the property that it defined.
      if (Object.hasOwn(own, name)) {
        const value = own[name];
        delete own[name];
        own[name] = value;
      }
    }
    present.add(this);
    this.resolve();
  }

  disconnectedCallback() {
    // What is only moved is back by then, and nobody was told.
    queueMicrotask(() => {
      if (this.isConnected) return;
      present.delete(this);
      this.quit();
    });
  }

  /** Ends all that the element did for its topic. */
  quit() {
    clearTimeout(this.#rest);
    this.topic?.listeners.delete(this.#hear);
    this.#end?.();
    this.#rest = this.#end = undefined;
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    this.#fresh ||= name === 'count';
    // Frameworks set several in a row; they count together.
    queueMicrotask(() => this.resolve());
  }

  /** The key that is meant now; undefined where the page has none that is valid. */
  key() {
    return keyOf(this.getAttribute('page'));
  }

  /** The language that numbers are written in. */
  get lang_() {
    return /** @type {HTMLElement | null} */ (this.closest('[lang]'))?.lang;
  }

  get paused() {
    return paused || this.getAttribute('live') === 'off';
  }

  /** Finds the topic that the attributes and the page name now. */
  resolve() {
    if (!this.isConnected) return;
    const metric = this.getAttribute('metric') ?? self(this).metric;
    const key = this.key();
    const name = key && `${this.getAttribute('site') ?? shared.site}/${metric}/${key}`;
    if (name !== this.#name) {
      this.#name = name;
      this.quit();
      this.topic = name ? shared.client.topic(name) : undefined;
      this.#shown = undefined;
      if (!name) this.refuse();
    }
    if (this.near) this.follow();
    this.topic?.listeners.add(this.#hear);
    if (this.#fresh) this.topic?.seed(this.getAttribute('count'));
    this.#fresh = false;
    this.paint();
  }

  /** Reports that the element's page has no key. */
  refuse() {
    this.hear('error', {
      code: 'bad_topic',
      message: `${this.localName}: "${this.getAttribute('page') ?? address().href}" is not a percent-encoded path or URL of a page on this site`,
    });
  }

  /** Has the topic pushed, once the element is near. */
  follow() {
    this.near = true;
    if (this.topic && this.isConnected) this.#end ??= shared.client.watch(this.topic.name);
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  hear(reason, failure) {
    if (failure) {
      complain(failure);
      this.emit('error', failure);
    }
    this.paint(reason);
  }

  /**
   * Brings the shadow tree up to date with the topic.
   * @param {import('./topic.js').Reason} [source] what changed it
   */
  paint(source) {
    const count = this.topic?.failure ? undefined : this.topic?.shown;
    const before = this.#shown;
    const own = this.topic?.own;
    this.number.hidden = count === undefined;
    if (count === undefined || (count === before && own === this.#own)) return;
    if (source === 'server' && before !== undefined && count !== before) {
      if (this.#rest || this.paused) return;
    }
    this.#shown = count;
    this.#own = own;
    const { short, exact } = format(count, this.lang_);
    this.number.textContent = short;
    this.exact.textContent = exact;
    this.exact.className = short === exact ? '' : 'note';
    const detail = { count, mine: own, source: source === 'server' ? source : 'visitor' };
    if (before === undefined) return this.emit('load', detail);
    this.emit('change', detail);
    if (count === before) return;
    const rolled = this.#rest;
    clearTimeout(rolled);
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.paint('server');
    }, PACE + BEAT - (Date.now() % BEAT));
    // Presses in quick succession would make the number flicker.
    if (rolled || still()) return;
    const up = +(count > before);
    (this.#rolls[up] ??= this.number.animate({ translate: [`0 ${up - 0.5}em`, '0'], opacity: [0, 1] }, ROLL)).play();
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
 * Registers an element; every attribute gets a property of its name that can be set.
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
 * Numbers, and orders, stay as they are until the page goes on. The visitor's own presses show.
 * @param {boolean} on
 */
export function pause(on) {
  paused = on;
  present.forEach((element) => element.paint('server'));
}

/** Resolves the elements again after client-side navigation: those without a page mean another one then. */
export function followNavigation() {
  let last = address().href;
  const check = () => {
    if (last !== (last = address().href)) present.forEach((element) => element.resolve());
  };
  // Later than the router's own turn, which may write the canonical link after the address.
  const soon = () => queueMicrotask(check);
  addEventListener('popstate', soon);
  const { navigation, history } = /** @type {any} */ (globalThis);
  if (navigation) navigation.addEventListener('currententrychange', soon);
  else {
    // Nothing else tells Firefox before 147 and Safari before 26.2 of a router's navigation.
    for (const name of ['pushState', 'replaceState']) {
      const original = history[name];
      history[name] = (/** @type {any[]} */ ...args) => {
        original.apply(history, args);
        soon();
      };
    }
  }
  new MutationObserver(soon).observe(document.head, { subtree: true, childList: true, characterData: true, attributeFilter: ['href', 'rel'] });
  // Routers that replace the document keep a link that is the same in both pages.
  for (const event of ['astro:after-swap', 'turbo:render']) {
    document.addEventListener(event, () => {
      written();
      check();
    });
  }
}
