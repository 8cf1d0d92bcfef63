import { make, still } from './dom.js';
import { format } from './format.js';
import { keyOf } from './page.js';
import { client, site } from './site.js';

/** Visible changes that others cause are at least so far apart, in milliseconds. */
const PACE = 1000;

/** How far from the viewport an element begins to be pushed to. */
const NEAR = '300px';

/** How long a number takes to roll in, in milliseconds. */
const ROLL = 180;

/** @type {IntersectionObserver | undefined} */
let viewport;

/** @type {Set<TallyElement>} those that are in the document */
const present = new Set();

/** @type {CSSStyleSheet | undefined} */
let sheet;

const styles =
  ':host{display:inline-block;position:relative}' +
  '[hidden],:host([hidden]){display:none!important}' +
  '[part=number]{display:inline-block;font-variant-numeric:tabular-nums}' +
  '.sr{position:absolute;clip-path:inset(50%);width:1px;overflow:hidden;white-space:nowrap}';

/** Where there is no DOM, as on a server, the elements are classes that nobody makes. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/**
 * What all elements share: which topic is meant, when it is pushed, how its number is shown.
 * The element's own children are never changed; they show through a slot while there is
 * nothing better.
 *
 * Subclasses have `static metric` and `static styles`, put `number` into the shadow tree, and
 * may extend `paint` and `hear`.
 */
export class TallyElement extends Base {
  static metric = 'likes';
  static styles = '';
  static observedAttributes = ['site', 'metric', 'page', 'count', 'live', 'label', 'kept', 'refused'];

  /** @type {import('./topic.js').Topic | undefined} */
  topic;
  number = make('span', { part: 'number' });
  /** The number in full, for those who see it shortened or not at all. */
  exact = make('span', { id: 'exact', hidden: '' });
  fallback = make('slot');
  /** The page changed under the element: its children speak of another one. */
  moved = false;

  /** @type {number | undefined} the number on screen */
  #shown;
  #fresh = false; // the count attribute was set for the topic that comes next
  #near = false;
  /** @type {(() => void) | undefined} ends the subscription */
  #end;
  /** @type {import('./topic.js').Listener} */
  #hear = (reason, failure) => this.hear(reason, failure);
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the number rests */
  #rest;

  constructor() {
    super();
    const { styles: own } = /** @type {typeof TallyElement} */ (this.constructor);
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const style = new CSSStyleSheet();
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(styles);
    style.replaceSync(own);
    root.adoptedStyleSheets = [sheet, style];
    root.append(this.exact, this.fallback);
  }

  connectedCallback() {
    present.add(this);
    this.resolve();
    viewport ??= new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (!isIntersecting) continue;
          viewport?.unobserve(target);
          /** @type {TallyElement} */ (target).#follow();
        }
      },
      { rootMargin: NEAR },
    );
    viewport.observe(this);
  }

  disconnectedCallback() {
    present.delete(this);
    viewport?.unobserve(this);
    clearTimeout(this.#rest);
    this.#rest = undefined;
    this.#near = false;
    this.#quit();
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    this.#fresh ||= name === 'count';
    // Frameworks set several in a row; they count together.
    queueMicrotask(() => this.resolve());
  }

  /** Finds the topic that the attributes and the page name now. */
  resolve() {
    if (!this.isConnected) return;
    const metric = this.getAttribute('metric') ?? /** @type {typeof TallyElement} */ (this.constructor).metric;
    const key = keyOf(this.getAttribute('page'));
    const name = key && `${this.getAttribute('site') ?? site}/${metric}/${key}`;
    if (!name || name !== this.topic?.name) {
      this.#quit();
      this.moved ||= !!this.topic;
      this.topic = name ? client.topic(name) : undefined;
      this.#shown = undefined;
      if (!name) this.emit('error', { code: 'bad_topic', message: 'no valid page' });
      if (this.#near) this.#follow();
    }
    this.topic?.listeners.add(this.#hear);
    if (this.#fresh && this.hasAttribute('count')) this.topic?.seed(Number(this.getAttribute('count')));
    this.#fresh = false;
    this.paint();
  }

  /** Has the topic pushed, once the element is near. */
  #follow() {
    this.#near = true;
    if (this.topic) this.#end ??= client.watch(this.topic.name);
  }

  #quit() {
    this.topic?.listeners.delete(this.#hear);
    this.#end?.();
    this.#end = undefined;
  }

  /**
   * @param {import('./topic.js').Reason} reason
   * @param {import('./topic.js').Failure} [failure]
   */
  hear(reason, failure) {
    if (failure) this.emit('error', failure);
    this.paint(reason);
  }

  /**
   * Brings the shadow tree up to date with the topic.
   * @param {import('./topic.js').Reason} [source] what changed it
   */
  paint(source) {
    const count = this.topic?.failure ? undefined : this.topic?.shown;
    const before = this.#shown;
    this.number.hidden = count === undefined;
    if (count === before || count === undefined) return;
    if (source === 'server' && before !== undefined) {
      if (this.#rest || this.getAttribute('live') === 'off') return;
    }
    this.#shown = count;
    const lang = /** @type {HTMLElement | null} */ (this.closest('[lang]'))?.lang || undefined;
    const { short, exact } = format(count, lang);
    this.number.textContent = short;
    this.exact.textContent = exact;
    this.number.title = short === exact ? '' : exact;
    const detail = { count, mine: this.topic?.own, source: source === 'server' ? source : 'visitor' };
    if (before === undefined) return this.emit('load', detail);
    this.emit('change', detail);
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.paint('server');
    }, PACE);
    if (!still()) {
      this.number.animate?.({ translate: [`0 ${count > before ? '' : '-'}.5em`, '0'], opacity: [0, 1] }, ROLL);
    }
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
      configurable: true,
      get() {
        return this.getAttribute(attribute);
      },
      set(value) {
        if (value == null) this.removeAttribute(attribute);
        else this.setAttribute(attribute, value);
      },
    });
  }
  const { customElements } = globalThis;
  if (!customElements || customElements.get(name)) return;
  customElements.define(name, element);
}

/** Elements without a page follow the address of a single-page site. */
export function followNavigation() {
  const resolve = () => present.forEach((element) => element.resolve());
  globalThis.addEventListener?.('popstate', resolve);
  /** @type {any} */ (globalThis).navigation?.addEventListener('navigatesuccess', resolve);
}
