/** Messages and full numbers next to elements: their position, and their announcement by screen readers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, POST_ONLY, useBrowser } from './browser.js';
import { clickIn, enginesOr, hoverIn, numberIn, showsIn, startEngine } from './engines.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, startService } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

/** Lets no request through, so that each press shows the message that it is kept. */
const OFFLINE = `<script>fetch = () => Promise.reject(new Error("offline"))\n${POST_ONLY}</script>`;

const STYLE = '<style>body{margin:0;font:16px/1.5 sans-serif}p{margin:0;padding:0 16px}main{padding:1400px 0}#end{text-align:end}#box{block-size:300px;overflow:auto}#box p{padding-block:400px}</style>';

/** @param {string} key that the keys begin with */
const bodyOf = (key) => {
  const row = (/** @type {string} */ place) =>
    `<p id="${place}"><tally-like page="${key}/${place}" live="off" count="123456"></tally-like> <tally-count page="${key}/${place}/count" live="off" count="1234567"></tally-count></p>`;
  return `<main>${row('start')}${row('end')}<div id="box">${row('inner')}</div></main>`;
};

/**
 * Runs in the page: measures the distance of a note from its element.
 * @param {string} selector
 * @param {string} part
 */
function placeOf(selector, part) {
  const host = /** @type {Element} */ (document.querySelector(selector));
  const note = host.shadowRoot?.querySelector(`[part=${part}]`);
  if (!note?.textContent || getComputedStyle(note).display === 'none') return undefined;
  const [box, other] = [note, host].map((each) => each.getBoundingClientRect());
  return {
    below: Math.round(box.top - other.bottom),
    bottom: Math.round(innerHeight - box.bottom),
    beside: box.right < other.left || box.left > other.right,
    outside: Math.round(Math.max(-box.left, box.right - document.documentElement.clientWidth, 0)),
  };
}

for (const name of enginesOr('chromium')) {
  test(`${name}: full numbers stay at their element when the page scrolls, messages at the bottom of the window`, async (t) => {
    const head = STYLE + OFFLINE;
    const site = await startSite(t, { '/ltr': { head, body: bodyOf('ltr') }, '/rtl': { html: 'lang="en" dir="rtl"', head, body: bodyOf('rtl') } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.resize(600, 700);
    for (const path of ['/ltr', '/rtl']) {
      await tab.goto(site.url + path);
      await tab.evaluate(() => {
        document.querySelector('#box')?.scrollTo(0, 300);
        scrollTo(0, 1150);
      });
      for (const place of ['start', 'end', 'inner']) {
        for (const [selector, part] of /** @type {[string, string][]} */ ([[`#${place} tally-like`, 'exact'], [`#${place} tally-count`, 'exact'], [`#${place} tally-like`, 'status']])) {
          await eventually(async () => assert.match((await numberIn(tab, selector)) ?? '', /\d/));
          if (part === 'status') await clickIn(tab, selector);
          else await hoverIn(tab, selector);
          const found = await eventually(async () => {
            const found = await tab.evaluate(placeOf, selector, part);
            assert.ok(found, `${selector}: no ${part}`);
            return found;
          });
          const what = `${path} ${selector} ${part}: ${JSON.stringify(found)}`;
          assert.ok(found.outside <= (part === 'status' ? 0 : 14), what);
          if (part === 'status') assert.ok(found.bottom >= 0 && found.bottom <= 24, what);
          else assert.ok(found.below >= -1 && found.below <= 24 && !found.beside, what);
        }
      }
    }
  });

  test(`${name}: live regions are rendered before they have text`, async (t) => {
    const site = await startSite(t, { '/': { head: OFFLINE, body: '<tally-like page="post"></tally-like> <tally-claps page="post"></tally-claps>' } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(site.url);
    await showsIn(tab, 'tally-like', 0);
    const regions = () =>
      tab.evaluate(() =>
        [...document.querySelectorAll('tally-like,tally-claps')].flatMap((element) =>
          [.../** @type {ShadowRoot} */ (element.shadowRoot).querySelectorAll('[role=status]')].map((region) => {
            const { display, visibility } = getComputedStyle(region);
            return [region.textContent, display !== 'none' && visibility === 'visible'];
          }),
        ),
      );
    assert.deepEqual(await regions(), [['', true], ['', true], ['', true]]);
  });
}

test('the accessibility tree has empty live regions', async (t) => {
  const site = await startSite(t, { '/': { head: OFFLINE, body: '<tally-like page="post"></tally-like><tally-claps page="post"></tally-claps>' } });
  const service = await startService({ flags: [ADMIN_FLAG] });
  t.after(() => service.stop());
  const { open, context } = await newVisitor(t, browser);
  /** @param {import('playwright-core').Page} page @param {string} role */
  const count = async (page, role) => {
    const session = await context.newCDPSession(page);
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    return nodes.filter((node) => !node.ignored && node.role?.value === role).length;
  };
  const page = await open(site.url);
  await page.locator('tally-like [part=number]').waitFor();
  // The message of each, and the visitor's total of the claps.
  assert.equal(await count(page, 'status'), 3);
  const admin = await open(`${service.url}/admin/`);
  await admin.getByLabel('Admin token').waitFor();
  assert.deepEqual([await count(admin, 'alert'), await count(admin, 'status')], [1, 1]);
  // Empty ones take no space.
  const height = () => admin.locator('.signin').evaluate((form) => form.getBoundingClientRect().height);
  const before = await height();
  await admin.locator('.signin .error').evaluate((error) => error.remove());
  assert.equal(await height(), before);
});
