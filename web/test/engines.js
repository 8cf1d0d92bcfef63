/**
 * Chromium, Firefox and WebKit behind one interface. ENGINES names the engines of a run, separated by commas.
 */
import assert from 'node:assert/strict';
import { chromiumEngine } from './chromium-engine.js';
import { firefoxEngine } from './firefox-engine.js';
import { eventually } from './wait.js';
import { webkitEngine } from './webkit-engine.js';

/**
 * @typedef {object} Tab a page of one visitor, with its own storage
 * @property {(url: string) => Promise<void>} goto resolves when the page is loaded
 * @property {() => Promise<void>} reload
 * @property {<A extends any[], R>(script: (...args: A) => R | Promise<R>, ...args: A) => Promise<R>} evaluate
 *   runs a function in the page; it may not refer to anything outside itself
 * @property {(x: number, y: number) => Promise<void>} move moves the pointer, in CSS pixels of the viewport
 * @property {() => Promise<void>} down presses the pointer's first button
 * @property {() => Promise<void>} up
 * @property {(text: string) => Promise<void>} type types text; \n is Enter, \t is Tab
 * @property {(width: number, height: number) => Promise<void>} resize resizes the window; WebKit's minimum
 *   is 447 pixels
 * @property {() => Promise<Buffer>} screenshot of the viewport, a PNG
 * @property {() => Promise<void>} close
 *
 * @typedef {object} TabOptions
 * @property {string} [lang] LANG of the browser's process, in WebKit only
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {(options?: TabOptions) => Promise<Tab>} open
 * @property {() => Promise<void>} close
 */

/** @type {Record<string, () => Promise<Engine>>} */
const launchers = { chromium: chromiumEngine, firefox: firefoxEngine, webkit: webkitEngine };

/**
 * Returns the names of the engines to test in.
 * @param {string[]} usual the engines if ENGINES names none
 */
export const enginesOr = (...usual) => process.env.ENGINES?.split(',') ?? usual;

/**
 * Starts an engine that stops with the test.
 * @param {string} name
 * @param {import('node:test').TestContext} t
 */
export async function startEngine(name, t) {
  const launcher = launchers[name];
  if (!launcher) throw new Error(`ENGINES: ${name} is not one of ${Object.keys(launchers)}`);
  const engine = await launcher();
  t.after(() => engine.close());
  return engine;
}

/**
 * Returns the number that an element shows.
 * @param {Tab} tab
 * @param {string} selector
 */
export const numberIn = (tab, selector) =>
  tab.evaluate((selector) => {
    const number = /** @type {HTMLElement | null | undefined} */ (document.querySelector(selector)?.shadowRoot?.querySelector('[part=number]'));
    return number?.textContent === '‒' ? undefined : number?.textContent;
  }, selector);

/**
 * Waits until an element shows a number.
 * @param {Tab} tab
 * @param {string} selector
 * @param {number | string} count
 */
export const showsIn = (tab, selector, count) => eventually(async () => assert.equal(await numberIn(tab, selector), String(count)));

/**
 * Reports whether the element's button is pressed, by its ARIA state.
 * @param {Tab} tab
 * @param {string} selector
 */
export const pressedIn = (tab, selector) =>
  tab.evaluate((selector) => document.querySelector(selector)?.shadowRoot?.querySelector('[part=button]')?.getAttribute('aria-pressed') === 'true', selector);

/**
 * Moves the pointer to the middle of an element, or of the button in its shadow tree.
 * @param {Tab} tab
 * @param {string} selector
 */
export async function hoverIn(tab, selector) {
  const { x, y } = await tab.evaluate((selector) => {
    const host = document.querySelector(selector);
    const target = host?.shadowRoot?.querySelector('[part=button]') ?? host;
    target?.scrollIntoView({ block: 'nearest' });
    const { x = 0, y = 0, width = 0, height = 0 } = target?.getBoundingClientRect() ?? {};
    return { x: Math.round(x + width / 2), y: Math.round(y + height / 2) };
  }, selector);
  await tab.move(x, y);
}

/**
 * Clicks an element, or the button in its shadow tree, as a person does.
 * @param {Tab} tab
 * @param {string} selector
 */
export async function clickIn(tab, selector) {
  await hoverIn(tab, selector);
  await tab.down();
  await tab.up();
}
