/** The owner's dashboard, in a browser and against the real service. */
import { after, before } from 'node:test';
import { newVisitor, useBrowser } from './browser.js';
import { ADMIN_FLAG, ADMIN_TOKEN, adminRequest, assertLike, startService } from './process.js';

/** Starts a browser and a service for the tests of this file. */
export function useDashboard() {
  const browser = useBrowser();
  /** @type {Awaited<ReturnType<typeof startService>>} */
  let service;
  before(async () => {
    const flags = [ADMIN_FLAG, '--site=blog', '--rate-limit=off', '--topic-limit=off', '--new-topic-limit=off'];
    service = await startService({ basePath: '/tally', flags });
  });
  after(() => service?.stop());
  return {
    browser,
    /** The URL of the service, with its base path. */
    get url() {
      return service.url;
    },
    /**
     * Sends a request of the owner.
     * @param {string} method
     * @param {string} path below /admin/v1/
     * @param {object} [body]
     */
    call: (method, path, body) => adminRequest(service.url, method, path, body),
    /**
     * Likes a topic, each time as another visitor.
     * @param {string} topic
     * @param {number} times
     * @param {string} [by] the start of the visitors' ids
     */
    async like(topic, times, by = 'reader') {
      for (let i = 0; i < times; i++) await assertLike(service.url, topic, `${by}-number-${i}`);
    },
    /**
     * Opens the dashboard and signs in.
     * @param {import('node:test').TestContext} t
     * @param {{ view?: string, token?: string, at?: string, options?: import('playwright-core').BrowserContextOptions }} [how]
     */
    async open(t, { view = '', token = ADMIN_TOKEN, at = service.url, options } = {}) {
      const { context, open, warnings } = await newVisitor(t, browser, options);
      const page = await open(`${at}/admin/#/${view}`);
      await page.getByLabel('Admin token').fill(token);
      await page.keyboard.press('Enter');
      if (token === ADMIN_TOKEN) await page.getByRole('heading', { level: 1, name: /Overview|Topics|Spikes|Visitors|Audit log|Tokens/ }).waitFor();
      // The browser logs the 401 of the first call.
      return { page, context, warnings: () => warnings.filter((text) => !/401/.test(text)) };
    },
  };
}
