/** A real Chromium, and what the tests look at in its pages. */
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { eventually } from './wait.js';

/** @typedef {import('playwright-core').Page} Page */

/** As root Chromium runs without its sandbox; the rest keeps it from calling home. */
const args = [
  // Names that are not this machine's, so that pages are visited rather than made.
  '--host-resolver-rules=MAP *.example 127.0.0.1',
  '--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // Half of the time of a window would go to pages of the browser's own, below an address bar that nobody sees.
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup',
];

/** @param {import('playwright-core').LaunchOptions} [options] */
export const launch = (options) => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', ...options, args: [...args, ...(options?.args ?? [])] });

/** The screens that pages are examined on. */
export const SCREENS = /** @type {const} */ ([
  { colorScheme: 'light', width: 1280, height: 900 },
  { colorScheme: 'light', width: 390, height: 844 },
  { colorScheme: 'dark', width: 1280, height: 900 },
  { colorScheme: 'dark', width: 390, height: 844 },
]);

/** A browser that does not say that nobody looks. */
export const PERSON = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36';

/**
 * Somebody who visits while the test lasts, and what the browser complains of meanwhile.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function newVisitor(t, browser, options) {
  const context = await browser.newContext({ userAgent: PERSON, ...options });
  t.after(() => context.close());
  /** @type {string[]} */
  const complaints = [];
  /** @param {string} url */
  const open = async (url) => {
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  };
  return { context, complaints, open };
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
export const numberOf = (page, selector) => page.locator(`${selector} [part=number]`).first().innerText({ timeout: 1000 });

/**
 * @param {Page} page
 * @param {string} selector
 */
export const pressed = async (page, selector) =>
  (await page.locator(`${selector} button[part=button]`).first().getAttribute('aria-pressed', { timeout: 1000 })) === 'true';

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
 * What the browser remembers of its visitor; nothing before the first press.
 * @param {Page} page of an origin on which one service is used
 * @returns {Promise<{ visitor?: string, mine?: Record<string, number>, wish?: Record<string, [number, number]> }>}
 */
export const remembered = (page) =>
  page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([name]) => name.startsWith('tallycast:v1:'))?.[1] ?? '{}'));
