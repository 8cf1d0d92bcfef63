/** Chromium, and what the tests read from its pages. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { eventually, PATIENCE } from './wait.js';

/** @typedef {import('playwright-core').Page} Page */

/** Chromium runs without its sandbox as root. The rest turns off its own requests. */
const args = [
  // Host names that are not local, so that visitors are counted.
  '--host-resolver-rules=MAP *.example 127.0.0.1',
  '--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // The popups of the address bar would take half of the time of a new window, spare renderers a twentieth of a visit's.
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,SpareRendererForSitePerProcess',
];

/** The browser that readers have. */
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The same engine without windows, tabs and menus, which take a quarter of the processor time. */
const SHELL = process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell';

/** @typedef {{ users: number, started?: Promise<import('playwright-core').Browser> }} Shared */

/** The browsers of this process, by their options. @type {Map<string, Shared>} */
const browsers = new Map();

/**
 * Starts a browser, and lets it draw one page: the first one needs longer than all others, and on a cold machine much
 * longer.
 * @param {import('playwright-core').LaunchOptions} options
 */
async function launch(options) {
  const browser = await chromium.launch({ executablePath: SHELL, timeout: PATIENCE, ...options, args: [...args, ...(options.args ?? [])] });
  const page = await browser.newPage();
  await page.goto('data:text/html,<p>A first page', { timeout: PATIENCE });
  await page.close();
  return browser;
}

/**
 * Returns a browser that all users of the same options share. It starts with the first context, and ends when its
 * last user stops. Each context has its own storage and connections.
 * @param {import('playwright-core').LaunchOptions} [options]
 */
export function shareBrowser(options = {}) {
  const key = JSON.stringify(options);
  const shared = browsers.get(key) ?? /** @type {Shared} */ ({ users: 0 });
  browsers.set(key, shared);
  return {
    use: () => void shared.users++,
    /** @param {import('playwright-core').BrowserContextOptions} [context] */
    async newContext(context) {
      shared.started ??= launch(options);
      const made = await (await shared.started).newContext(context);
      made.setDefaultTimeout(PATIENCE);
      return made;
    },
    async stop() {
      if (--shared.users) return;
      const { started } = shared;
      shared.started = undefined;
      await (await started)?.close();
    },
  };
}

/** The screens of the accessibility tests. Those with `visual` differ from the others only in colours or sizes. */
export const SCREENS = /** @type {const} */ ([
  { colorScheme: 'light', width: 1280, height: 900, visual: false },
  { colorScheme: 'light', width: 390, height: 844, visual: true },
  { colorScheme: 'dark', width: 1280, height: 900, visual: true },
  { colorScheme: 'dark', width: 390, height: 844, visual: false },
]);

/** For tests of the demo that do not look at motion: its animations never pause, and take processor time. */
export const STILL = /** @type {const} */ ({ reducedMotion: 'reduce' });

/** The user agent of a browser that is not headless. */
export const PERSON = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36';

/**
 * Makes a page post its assertions: its sockets refuse them, as those of older releases do. It is the source of a
 * function for init scripts, and for pages.
 */
export const POST_ONLY = `{
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (message) {
    if (!message.startsWith('{"assert"')) send.call(this, message);
    else setTimeout(() => this.onmessage({ data: '{"error":{"code":"bad_body","message":"unknown message"}}' }));
  };
}`;

/** @typedef {Pick<ReturnType<typeof shareBrowser>, 'newContext'>} Browser */

/**
 * Returns a browser for the tests of this file.
 * @param {import('playwright-core').LaunchOptions} [options]
 * @returns {Browser}
 */
export function useBrowser(options) {
  const browser = shareBrowser(options);
  before(browser.use);
  after(browser.stop);
  return browser;
}

/**
 * Makes a visitor, whose browser context ends with the test, and collects the console's warnings and errors.
 * @param {import('node:test').TestContext} t
 * @param {Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function newVisitor(t, browser, options) {
  const context = await browser.newContext({ userAgent: PERSON, ...options });
  t.after(() => context.close());
  /** @type {string[]} */
  const warnings = [];
  /** @param {string} url */
  const open = async (url) => {
    const page = await context.newPage();
    page.on('pageerror', (error) => warnings.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) warnings.push(message.text());
    });
    await page.goto(url);
    return page;
  };
  return { context, warnings, open };
}

/**
 * Waits until an element shows a number.
 * @param {Page} page
 * @param {string} selector
 * @param {number | string} count
 * @param {number} [deadline] in milliseconds
 */
export const shows = (page, selector, count, deadline) =>
  eventually(async () => assert.equal(await numberOf(page, selector), String(count)), deadline);

/**
 * @param {Page} page
 * @param {string} selector
 */
export const numberOf = (page, selector) => page.locator(`${selector} [part=number]`).first().innerText();

/**
 * @param {Page} page
 * @param {string} selector
 */
export const pressed = async (page, selector) =>
  (await page.locator(`${selector} button[part=button]`).first().getAttribute('aria-pressed')) === 'true';

/**
 * @param {Page} page
 * @param {string} selector
 */
export const press = (page, selector) => page.locator(`${selector} button[part=button]`).first().click();

/**
 * Waits until the page's numbers are live.
 * @param {Page} page
 */
export const live = (page) =>
  eventually(async () => assert.equal(await page.locator('#status').getAttribute('data-status'), 'live'));

/**
 * Returns what the browser stored about its visitor; an empty entry before the first press.
 * @param {Page} page of an origin on which one service is used
 * @returns {Promise<{ visitor?: string, mine?: Record<string, number>, wish?: Record<string, [number, number]> }>}
 */
export const remembered = (page) =>
  page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([name]) => name.startsWith('tallycast:v1:'))?.[1] ?? '{}'));

/**
 * Stops a page's clock, which the test turns from then on. The moment must not be over when the page gets it, which may
 * take a second on a busy machine.
 * @param {Page} page whose clock is installed
 * @param {number} [ahead] of now, in milliseconds
 */
export const pauseClock = (page, ahead = 1000) => eventually(async () => page.clock.pauseAt((await page.evaluate(() => Date.now())) + ahead));

/**
 * Records the statuses of a page's connection in `window.statuses`.
 * @param {import('playwright-core').BrowserContext} context
 */
export const recordStatus = (context) =>
  context.addInitScript(() => {
    const statuses = /** @type {any} */ (window).statuses = /** @type {any[]} */ ([]);
    document.addEventListener('tally-status', (event) => statuses.push(/** @type {CustomEvent} */ (event).detail));
  });
