/**
 * WebKitGTK, Safari's engine: MiniBrowser on a virtual screen, over WebDriver (https://www.w3.org/TR/webdriver2/).
 */
import { freePort, start } from './process.js';
import { PATIENCE } from './wait.js';

/** Debian's path of MiniBrowser. */
const BROWSER = process.env.MINIBROWSER ?? `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;

/** The virtual screen, larger than a window of 1280 pixels. */
const SCREEN = '1600x1200x24';

/** Keys that have no character, as WebDriver names them. */
const KEYS = /** @type {Record<string, string>} */ ({ '\n': '\uE007', '\t': '\uE004' });

/** @returns {Promise<import('./engines.js').Engine>} */
export async function webkitEngine() {
  const screen = start('Xvfb', ['-displayfd', '1', '-screen', '0', SCREEN, '-nolisten', 'tcp']);
  const display = await screen.until(() => {
    const [number] = screen.output().match(/^\d+$/m) ?? [];
    if (!number) throw new Error(`Xvfb has not started: ${screen.output()}`);
    return `:${number}`;
  });
  /** @type {Set<() => Promise<void>>} */
  const open = new Set();
  return {
    name: 'webkit',
    async open({ lang = 'en_US.UTF-8' } = {}) {
      const port = await freePort();
      // A driver has one session.
      const driver = start('WebKitWebDriver', [`--port=${port}`], { env: { ...process.env, DISPLAY: display, LANG: lang, LC_ALL: '' } });
      let session = '';
      const close = async () => {
        open.delete(close);
        if (session) await call('DELETE', '').catch(() => {});
        await driver.stop();
      };
      open.add(close);

      /**
       * @param {string} method
       * @param {string} path below the session
       * @param {unknown} [body]
       */
      const call = async (method, path, body) => {
        driver.check();
        const response = await fetch(`http://127.0.0.1:${port}${session}${path}`, {
          method,
          headers: { 'content-type': 'application/json' },
          body: body === undefined ? undefined : JSON.stringify(body),
        });
        const { value } = /** @type {any} */ (await response.json());
        if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
        return value;
      };

      await driver.until(() => call('GET', '/status'));
      const { sessionId } = await call('POST', '/session', {
        capabilities: { alwaysMatch: { timeouts: { pageLoad: PATIENCE, script: PATIENCE }, 'webkitgtk:browserOptions': { binary: BROWSER, args: ['--automation'] } } },
      });
      session = `/session/${sessionId}`;

      /** @param {object[]} actions */
      const pointer = (...actions) => call('POST', '/actions', { actions: [{ type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions }] });

      /** @type {import('./engines.js').Tab} */
      const tab = {
        goto: (url) => call('POST', '/url', { url }),
        reload: () => call('POST', '/refresh', {}),
        async evaluate(script, ...args) {
          const { value, error } = await call('POST', '/execute/async', {
            script:
              `const [args, done] = arguments;` +
              `Promise.resolve().then(() => (${script})(...args)).then((value) => done({ value }), (error) => done({ error: String(error) }));`,
            args: [args],
          });
          if (error !== undefined) throw new Error(error);
          return value ?? undefined;
        },
        move: (x, y) => pointer({ type: 'pointerMove', duration: 0, x, y }),
        down: () => pointer({ type: 'pointerDown', button: 0 }),
        up: () => pointer({ type: 'pointerUp', button: 0 }),
        type: (text) =>
          call('POST', '/actions', {
            actions: [
              {
                type: 'key',
                id: 'keyboard',
                actions: [...text].map((key) => KEYS[key] ?? key).flatMap((value) => [
                  { type: 'keyDown', value },
                  { type: 'keyUp', value },
                ]),
              },
            ],
          }),
        async resize(width, height) {
          // The window's size includes its bars.
          const outer = await call('GET', '/window/rect');
          const inner = await tab.evaluate(() => ({ width: innerWidth, height: innerHeight }));
          await call('POST', '/window/rect', { width: width + outer.width - inner.width, height: height + outer.height - inner.height });
        },
        async screenshot() {
          // The screenshot waits for a paint, which a page without changes may never have.
          await tab.evaluate(() => {
            const mover = document.createElement('i');
            mover.style.cssText = 'position:fixed;width:1px;height:1px';
            document.documentElement.append(mover);
            mover.animate({ opacity: [0, 0.01] }, { duration: 100, iterations: 20 }).finished.then(() => mover.remove());
          });
          return Buffer.from(await call('GET', '/screenshot'), 'base64');
        },
        close,
      };
      await tab.resize(1280, 900);
      return tab;
    },
    async close() {
      await Promise.all([...open].map((close) => close()));
      await screen.stop();
    },
  };
}
