/** Accessibility checks of a page: axe finds no violation, and the page fits its screen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The minified script: a page compiles it in half of the time. */
const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** axe's rules that depend on colours and sizes. */
const VISUAL_RULES = ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size'];

/**
 * Fails if axe finds a violation, or the page is wider than its screen.
 * @param {import('playwright-core').Page} page
 * @param {string} what the page, as the failure names it
 * @param {{ visual?: boolean }} [options] visual checks only what depends on colours and sizes
 */
export async function assertUsable(page, what, { visual = false } = {}) {
  // Loading axe takes longer than running it.
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(source);
  // Without details of the rules that pass, and without a second request for each style sheet: the pages have no audio.
  const options = { resultTypes: ['violations'], preload: false, ...(visual && { runOnly: VISUAL_RULES }) };
  const { violations } = await page.evaluate((options) => /** @type {any} */ (window).axe.run(options), options);
  const found = violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => node.target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], what);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${what} is ${overflow} px wider than its screen`);
}

/**
 * Checks a page in light with all rules, in dark and in forced colours with those of colours and sizes: the schemes
 * differ in nothing else. The page's colours must change without a transition.
 * @param {import('playwright-core').Page} page
 * @param {string} what
 */
export async function assertUsableInAllColours(page, what) {
  for (const [colorScheme, forcedColors] of /** @type {const} */ ([['light', 'none'], ['dark', 'none'], ['light', 'active']])) {
    await page.emulateMedia({ colorScheme, forcedColors });
    await assertUsable(page, `${what} in ${colorScheme}, forced colours: ${forcedColors}`, { visual: colorScheme === 'dark' || forcedColors === 'active' });
  }
}
