/** Firefox, over WebDriver BiDi. */
import puppeteer from 'puppeteer-core';
import { PATIENCE } from './wait.js';

/** @returns {Promise<import('./engines.js').Engine>} */
export async function firefoxEngine() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    timeout: PATIENCE,
    // Host names that are not local, so that visitors are counted.
    extraPrefsFirefox: { 'network.dns.localDomains': 'blog.example,tally.example' },
  });
  return {
    name: 'firefox',
    async open() {
      const context = await browser.createBrowserContext();
      // Only in its own window each page is visible.
      const page = await context.newPage({ type: 'window' });
      page.setDefaultTimeout(PATIENCE);
      await page.setViewport({ width: 1280, height: 900 });
      return {
        goto: async (url) => void (await page.goto(url)),
        reload: async () => void (await page.reload()),
        evaluate: (script, ...args) => /** @type {any} */ (page.evaluate(/** @type {any} */ (script), ...args)),
        move: (x, y) => page.mouse.move(x, y),
        down: () => page.mouse.down(),
        up: () => page.mouse.up(),
        type: async (text) => {
          for (const key of text) await page.keyboard.press(/** @type {any} */ ({ '\n': 'Enter', '\t': 'Tab' }[key] ?? key));
        },
        resize: (width, height) => page.setViewport({ width, height }),
        screenshot: async () => Buffer.from(await page.screenshot()),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}
