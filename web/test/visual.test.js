/** Contrast, text spacing, narrow windows, flicker and colour of elements and pages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, useBrowser } from './browser.js';
import { enginesOr, hoverIn, numberIn, showsIn, startEngine } from './engines.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, ADMIN_TOKEN, assertLike, startService } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

for (const name of enginesOr('chromium')) {
  test(`${name}: the number does not flicker while claps are held`, async (t) => {
    const site = await startSite(t, { '/': { body: '<p style="margin:4em"><tally-claps page="post"></tally-claps></p>' } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(site.url);
    await showsIn(tab, 'tally-claps', 0);
    await hoverIn(tab, 'tally-claps');
    const looking = tab.evaluate(
      () =>
        new Promise((resolve) => {
          const number = /** @type {Element} */ (document.querySelector('tally-claps')?.shadowRoot?.querySelector('[part=number]'));
          /** @type {number[]} */
          const seen = [];
          const look = () => {
            if (number.textContent !== '0') seen.push(Number(getComputedStyle(number).opacity));
            if (Number(number.textContent) < 20) requestAnimationFrame(look);
            else resolve(seen.reduce((sum, each) => sum + each, 0) / seen.length);
          };
          look();
          // WebDriver runs one command at a time, so the page holds the button itself.
          const button = /** @type {Element} */ (number.closest('button'));
          button.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
        }),
    );
    const mean = await looking;
    assert.ok(Number(await numberIn(tab, 'tally-claps')) >= 20);
    assert.ok(Number(mean) > 0.9, `the mean opacity is ${mean}`);
  });

  test(`${name}: reactions are in colour`, async (t) => {
    const site = await startSite(t, { '/': { body: '<tally-reactions page="post"></tally-reactions>' } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(site.url);
    const signs = () => tab.evaluate(() => [...(document.querySelector('tally-reactions')?.shadowRoot?.querySelectorAll('slot[name]') ?? [])].map((slot) => slot.textContent));
    await eventually(async () => assert.deepEqual(await signs(), ['❤', '🎉', '🚀', '😄', '😮', '😢'].map((sign) => `${sign}\uFE0F`)));
  });
}

/**
 * Runs in the page: returns the contrast between a button's border and the page.
 * @param {string} selector
 */
function borderContrast(selector) {
  const host = /** @type {Element} */ (document.querySelector(selector));
  const button = /** @type {Element} */ (host.shadowRoot?.querySelector('tally-like')?.shadowRoot?.querySelector('button') ?? host.shadowRoot?.querySelector('button'));
  const rgba = (/** @type {string} */ color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const paper = rgba(getComputedStyle(document.body).backgroundColor);
  const [r, g, b, alpha = 1] = rgba(getComputedStyle(button).borderTopColor);
  const light = (/** @type {number[]} */ channels) => {
    const [red, green, blue] = channels.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const both = [light([r, g, b].map((each, i) => each * alpha + paper[i] * (1 - alpha))), light(paper)].sort((x, y) => y - x);
  return (both[0] + 0.05) / (both[1] + 0.05);
}

test('button borders have a contrast of 3, and more with prefers-contrast', async (t) => {
  const body = '<tally-like page="post"></tally-like><tally-claps page="post"></tally-claps><tally-reactions page="post"></tally-reactions>';
  const style = (/** @type {string} */ paper, /** @type {string} */ ink) => `<style>:root{color-scheme:light dark}body{background:${paper};color:${ink}}</style>`;
  const site = await startSite(t, { '/white': { head: style('#fff', '#222'), body }, '/paper': { head: style('#faf6ef', '#1f1a17'), body }, '/black': { head: style('#000', '#ddd'), body }, '/slate': { head: style('#222', '#eee'), body } });
  const demo = await startService({ flags: ['--demo'] });
  t.after(() => demo.stop());
  for (const contrast of /** @type {const} */ (['no-preference', 'more'])) {
    const { open } = await newVisitor(t, browser, { contrast });
    for (const path of ['/white', '/paper', '/black', '/slate']) {
      const page = await open(site.url + path);
      await page.locator('tally-claps [part=number]').waitFor();
      for (const selector of ['tally-like', 'tally-claps', 'tally-reactions']) {
        const found = await page.evaluate(borderContrast, selector);
        assert.ok(found >= (contrast === 'more' ? 7 : 3), `${path} ${selector}, ${contrast}: ${found}`);
      }
    }
  }
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const { open } = await newVisitor(t, browser, { colorScheme });
    const page = await open(`${demo.url}/gallery`);
    await page.locator('.samples tally-claps button').first().waitFor({ state: 'attached' });
    assert.ok((await page.evaluate(borderContrast, '.samples tally-claps')) >= 3);
  }
});

/** The text spacing of WCAG 2.2, 1.4.12. */
const SPACING = '*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}p{margin-block-end:2em!important}';

test('pages fit 320 pixels, also with WCAG text spacing', async (t) => {
  const service = await startService({ flags: ['--demo', ADMIN_FLAG] });
  t.after(() => service.stop());
  for (let i = 0; i < 12; i++) await assertLike(service.url, `default/likes/a-post-with-a-long-name-${i}`, 'somebody-else');
  const { context, open } = await newVisitor(t, browser, { viewport: { width: 320, height: 640 }, bypassCSP: true });
  const widest = (/** @type {import('playwright-core').Page} */ page) =>
    page.evaluate(() => {
      const out = [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 0.5);
      const width = document.documentElement.scrollWidth;
      return width > innerWidth ? `${width} px: ${out.map((each) => `${each.localName}.${each.className} ${Math.round(each.getBoundingClientRect().right)}`)}` : '';
    });
  for (const path of ['/', '/demo/', '/gallery', '/admin/']) {
    const page = await open(service.url + path);
    await page.waitForFunction(() => document.querySelector('tally-count [part=number], form, #status[data-status=live]'));
    assert.equal(await widest(page), '', path);
    await page.addStyleTag({ content: SPACING });
    assert.equal(await widest(page), '', `${path} with spacing`);
    if (path !== '/admin/') continue;
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    for (const [view, title] of [['', 'Overview'], ['topics', 'Topics'], ['spikes', 'Spikes'], ['people', 'Visitors'], ['log', 'Audit log']]) {
      await page.evaluate((view) => (location.hash = `#/${view}`), view);
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
      assert.equal(await widest(page), '', `${title} with spacing`);
    }
  }
  await context.close();
});
