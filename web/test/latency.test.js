/** How fast a press shows, by the browser's event timing, and on a slow network. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHROMIUM, newVisitor, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';

/** A frame in Event Timing, in milliseconds: 16.7 at 60 frames a second, rounded to a multiple of 8. */
const FRAME = 24;

/** A bad mobile network: a latency of seconds, and 50 kbit/s. */
const SLOW = { offline: false, latency: 1000, downloadThroughput: 6400, uploadThroughput: 6400 };

// Measured in the browser that readers have.
const browser = useBrowser({ executablePath: CHROMIUM });

/**
 * @param {import('node:test').TestContext} t
 * @param {string} url
 * @param {object} [network]
 */
async function openOn(t, url, network) {
  const { context, warnings } = await newVisitor(t, browser);
  await context.addInitScript(() => {
    const w = /** @type {any} */ (window);
    Object.assign(w, { entries: [], statuses: [] });
    for (const type of ['event', 'first-input']) {
      new PerformanceObserver((list) => w.entries.push(...list.getEntries().map((/** @type {any} */ { name, duration, interactionId }) => ({ name, duration, interactionId })))).observe(
        /** @type {any} */ ({ type, buffered: true, durationThreshold: 16 }),
      );
    }
    document.addEventListener('tally-status', (event) => w.statuses.push(/** @type {CustomEvent} */ (event).detail));
  });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  const emulate = (/** @type {object} */ conditions) => cdp.send('Network.emulateNetworkConditions', /** @type {any} */ (conditions));
  if (network) await emulate(network);
  await page.goto(url, { waitUntil: 'commit' });
  return { page, emulate, warnings };
}

test('a press is painted in the next frame', async (t) => {
  const site = await startSite(t, { '/': { body: '<p style="margin:4em"><tally-like page="post"></tally-like> <tally-claps page="post"></tally-claps></p>' } }, { flags: ['--rate-limit=off', '--topic-limit=off'] });
  const { page, emulate } = await openOn(t, site.url);
  await shows(page, 'tally-like', 0);
  await shows(page, 'tally-claps', 0);
  // A press that waited for the answer would take seconds.
  await emulate(SLOW);
  for (const [selector, presses] of /** @type {[string, number][]} */ ([['tally-like', 20], ['tally-claps', 20]])) {
    await page.evaluate('entries.length = 0');
    const button = page.locator(`${selector} button[part=button]`);
    for (let i = 1; i <= presses; i++) {
      await button.click();
      // The number in the frame after the press.
      const shown = await page.evaluate(
        (selector) => new Promise((resolve) => requestAnimationFrame(() => resolve(document.querySelector(selector)?.shadowRoot?.querySelector('[part=number]')?.textContent))),
        selector,
      );
      assert.equal(shown, String(selector === 'tally-like' ? i % 2 : i));
    }
    // For each press, its longest event: from the input to the next paint.
    const durations = await page.evaluate(() => {
      const longest = /** @type {Map<number, number>} */ (new Map());
      for (const { interactionId, duration } of /** @type {any} */ (window).entries) {
        if (interactionId) longest.set(interactionId, Math.max(duration, longest.get(interactionId) ?? 0));
      }
      return [...longest.values()];
    });
    // Events under 16 ms are not reported; they count as 16.
    const all = [...durations, ...Array(Math.max(0, presses - durations.length)).fill(16)].sort((a, b) => a - b);
    const [best, median, worst] = [all[0], all[Math.floor(all.length / 2)], all.at(-1)];
    t.diagnostic(`${selector}, ${presses} presses, to the next paint: fastest ${best} ms, median ${median} ms, slowest ${worst} ms`);
    // The fastest press counts: a busy machine slows only some of them.
    assert.ok(best <= FRAME, `${best} ms at best`);
  }
});

test('slow network: text first, presses at once, numbers later', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post">12 likes</tally-like>' } });
  const { page, emulate, warnings } = await openOn(t, site.url, SLOW);
  await eventually(async () => assert.equal((await page.locator('tally-like').innerText()).trim(), '12 likes'));
  await shows(page, 'tally-like', 0, 20_000);
  await page.evaluate(() => {
    const number = document.querySelector('tally-like')?.shadowRoot?.querySelector('[part=number]');
    const seen = /** @type {any} */ (window).seen = /** @type {any[]} */ ([]);
    new MutationObserver(() => seen.push(number?.textContent)).observe(/** @type {Node} */ (number), { childList: true });
  });
  // In the task of the press nothing was sent yet.
  const shown = await page.evaluate(() => {
    const root = document.querySelector('tally-like')?.shadowRoot;
    const button = /** @type {HTMLButtonElement} */ (root?.querySelector('button'));
    button.click();
    return [button.ariaPressed, root?.querySelector('[part=number]')?.textContent];
  });
  assert.deepEqual(shown, ['true', '1']);
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1), 20_000);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await shows(page, 'tally-like', 2, 20_000);
  assert.deepEqual(await page.evaluate('seen'), ['1', '2'], 'one press changes the number once');
  // Offline, then back on the same network.
  await emulate({ ...SLOW, offline: true });
  await assertLike(site.service.url, TOPIC, 'a-third-one');
  await page.evaluate('statuses.length = 0');
  await emulate(SLOW);
  await eventually(async () => assert.deepEqual(await page.evaluate('statuses'), ['away', 'live']), 20_000);
  await shows(page, 'tally-like', 3, 20_000);
  assert.deepEqual(await page.evaluate('seen'), ['1', '2', '3']);
  assert.deepEqual(warnings, []);
});
