'use client';

/** For React: `import { TallyProvider, useTally, Like } from '@tallycast/web/react'`. */
import { createContext, createElement, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { connect } from './main.js';
import { register } from './register.js';

const Context = createContext(/** @type {{ api: string, tally: import('./main.js').Tally } | undefined} */ (undefined));

/**
 * Names the service for the components below it, and the reader: identify returns the token by which the site's backend
 * signs who reads, or nothing if nobody is signed in. Leave it out after signing out.
 * @param {{ api: string, site?: string, identify?: import('./signin.js').GetToken | null, children?: import('react').ReactNode }} props
 */
export function TallyProvider({ api, site, identify, children }) {
  const value = useMemo(() => ({ api, tally: connect({ api }) }), [api]);
  useEffect(() => register({ api, site }), [api, site]);
  // Each rendering may make another function for the same reader.
  const getToken = useRef(identify);
  getToken.current = identify;
  const isIdentified = !!identify;
  useEffect(() => {
    if (!isIdentified) return;
    value.tally.identify(() => getToken.current?.()).catch((error) => console.warn('tallycast: identify:', error));
    return () => void value.tally.identify(null);
  }, [value, isIdentified]);
  return createElement(Context.Provider, { value }, children);
}

/**
 * Returns a topic's live number, and functions that change it. On a server, and until the service sends a number,
 * the count is the one given.
 * @param {string} name site/metric/key
 * @param {number} [count] that the page is rendered with
 * @returns {{ count: number | undefined, mine: number, options?: number[], like: () => Promise<unknown>,
 *   unlike: () => Promise<unknown>, contribute: (amount: number) => Promise<unknown>, choose: (option: number) => Promise<unknown> }}
 */
export function useTally(name, count) {
  const context = useContext(Context);
  if (!context) throw new Error('useTally needs a TallyProvider above it');
  const topic = context.tally.topic(name);
  // A press shows at once, even before the service sent a number.
  useEffect(() => {
    if (count !== undefined) topic.seed(count);
  }, [topic, count]);
  const rendered = useMemo(() => ({ count, mine: 0 }), [count]);
  const state = useSyncExternalStore(topic.subscribe, () => topic.state, () => rendered);
  return { ...state, count: state.count ?? count, like: topic.like, unlike: topic.unlike, contribute: topic.contribute, choose: topic.choose };
}

/**
 * The properties of all components; children show without a script: a form, for example.
 * @typedef {object} Props
 * @property {string} [page]
 * @property {string} [site]
 * @property {string} [metric]
 * @property {string} [label]
 * @property {string} [kept]
 * @property {string} [refused]
 * @property {'off'} [live]
 * @property {string} [className]
 * @property {import('react').CSSProperties} [style]
 * @property {import('react').ReactNode} [children]
 * @property {(event: CustomEvent<import('../elements.js').TallyChange>) => void} [onChange]
 * @property {(event: CustomEvent<import('../elements.js').TallyFailure>) => void} [onError]
 *
 * @typedef {Props & { count?: string, options?: string, closed?: boolean, withdraw?: string }} ChoiceProps
 */

/**
 * Renders an element with its attributes as properties.
 * @param {string} tag
 * @param {Props & Record<string, unknown>} props
 */
function useElement(tag, { onChange, onError, ...props }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  // React attaches no listeners to custom elements that it hydrates.
  useEffect(() => {
    const abort = new AbortController();
    const listen = (/** @type {string} */ name, /** @type {((event: any) => void) | undefined} */ listener) => {
      if (listener) ref.current?.addEventListener(name, listener, { signal: abort.signal });
    };
    listen('tally-change', onChange);
    listen('tally-error', onError);
    return () => abort.abort();
  }, [onChange, onError]);
  return createElement(tag, { ...props, ref });
}

/**
 * `<tally-like>`. Use the elements that have no component by their tags.
 * @param {Props & { count?: number }} props
 */
export const Like = (props) => useElement('tally-like', props);

/**
 * `<tally-poll>`
 * @param {ChoiceProps & { results?: 'after', send?: string, total?: string }} props
 */
export const Poll = (props) => useElement('tally-poll', props);

/**
 * `<tally-rating>`
 * @param {ChoiceProps & { send?: string, total?: string }} props
 */
export const Rating = (props) => useElement('tally-rating', props);

/**
 * `<tally-vote>`
 * @param {ChoiceProps & { show?: 'both' }} props
 */
export const Vote = (props) => useElement('tally-vote', props);

/**
 * `<tally-trend>`
 * @param {Props & { count?: number, days?: number }} props
 */
export const Trend = (props) => useElement('tally-trend', props);
