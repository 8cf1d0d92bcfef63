/** Chromium, for tests that run in several engines. */
import { PERSON, shareBrowser } from './browser.js';

/** @returns {Promise<import('./engines.js').Engine>} */
export async function chromiumEngine() {
  const browser = shareBrowser();
  browser.use();
  /** @type {import('playwright-core').BrowserContext[]} */
  const contexts = [];
  return {
    name: 'chromium',
    async open() {
      const context = await browser.newContext({ userAgent: PERSON, viewport: { width: 1280, height: 900 } });
      contexts.push(context);
      const page = await context.newPage();
      return {
        goto: async (url) => void (await page.goto(url)),
        reload: async () => void (await page.reload()),
        evaluate: (script, ...args) => page.evaluate(([source, args]) => (0, eval)(source)(...args), /** @type {any} */ ([`(${script})`, args])),
        move: (x, y) => page.mouse.move(x, y),
        down: () => page.mouse.down(),
        up: () => page.mouse.up(),
        type: async (text) => {
          for (const key of text) await page.keyboard.press({ '\n': 'Enter', '\t': 'Tab' }[key] ?? key);
        },
        resize: (width, height) => page.setViewportSize({ width, height }),
        screenshot: () => page.screenshot(),
        close: () => context.close(),
      };
    },
    async close() {
      for (const context of contexts) await context.close();
      await browser.stop();
    },
  };
}
