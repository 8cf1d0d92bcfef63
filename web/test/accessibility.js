/** Whether a page can be used by everybody: what axe finds in it, and whether it fits its screen. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { source } = createRequire(import.meta.url)('axe-core');

/**
 * Fails where axe finds something, or the page is wider than its screen.
 * @param {import('playwright-core').Page} page
 * @param {string} what the page, as the failure names it
 */
export async function assertUsable(page, what) {
  // To load axe takes longer than what it does.
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(source);
  // Of what passes it need not name every node.
  const { violations } = await page.evaluate(() => /** @type {any} */ (window).axe.run({ resultTypes: ['violations'] }));
  const found = violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => node.target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], what);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${what} is ${overflow} px wider than its screen`);
}
