/** Chromium, for tests that run in several engines. */
import { CHROMIUM, launch, PERSON } from './browser.js';

/** @returns {Promise<import('./engines.js').Engine>} */
export async function chromiumEngine() {
  const browser = await launch({ executablePath: CHROMIUM });
  return {
    name: 'chromium',
    async open() {
      const context = await browser.newContext({ userAgent: PERSON, viewport: { width: 1280, height: 900 } });
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
    close: () => browser.close(),
  };
}
