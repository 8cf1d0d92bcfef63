/** The lazy script asks for the visitor's contributions before claps are sent; what happens if it cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, press, remembered, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { countOf } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

/**
 * Starts a site with a visitor who pressed before.
 * @param {import('node:test').TestContext} t
 * @param {string} body
 * @param {{ mine?: Record<string, number>, wish?: Record<string, [number, number]> }} remembered
 */
async function startReturning(t, body, remembered) {
  const site = await startSite(t, { '/': { body } });
  const visitor = await newVisitor(t, browser);
  const entry = { visitor: '11-22-33-44-55', mine: {}, wish: {}, ...remembered };
  await visitor.context.addInitScript(([name, text]) => (localStorage[name] ??= text), [`tallycast:v1:${site.api}/`, JSON.stringify(entry)]);
  return { site, ...visitor };
}

test('claps are sent, and hearts shown, without the lazy script', async (t) => {
  const body = '<tally-claps page="post"></tally-claps><tally-like page="post"></tally-like>';
  const { site, context, open, warnings } = await startReturning(t, body, { mine: { 'default/likes/post': 1 } });
  await context.route('**/tally-*.js', (route) => route.abort());
  const page = await open(site.url);
  await shows(page, 'tally-claps', 0);
  for (let i = 0; i < 3; i++) await press(page, 'tally-claps');
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/claps/post'), 3));
  await shows(page, 'tally-claps', 3);
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
  assert.deepEqual(warnings.filter((text) => !text.includes('ERR_FAILED')), []);
});

test('only a browser that stored a contribution loads the lazy script', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post"></tally-like>' } });
  const { context, open } = await newVisitor(t, browser);
  let loaded = 0;
  context.on('request', (request) => loaded += +/tally-\w+\.js$/.test(request.url()));
  const first = await open(site.url);
  await shows(first, 'tally-like', 0);
  await press(first, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/likes/post'), 1));
  // The service's answer to the press came after anything that the page would load.
  await eventually(async () => assert.deepEqual((await remembered(first)).wish, {}));
  assert.equal(loaded, 0);
  const again = await open(site.url);
  await shows(again, 'tally-like', 1);
  await eventually(() => assert.equal(loaded, 1));
});

test('claps for an unknown topic are dropped after a few requests', async (t) => {
  const topic = 'default/nowhere/post';
  const { site, context, open } = await startReturning(t, '<tally-claps metric="nowhere" page="post"></tally-claps>', { wish: { [topic]: [5, Date.now()] } });
  let requests = 0;
  let hold = true;
  context.on('request', (request) => requests += +request.url().endsWith('/v1/counts'));
  // Hold the answer until the topic is watched and its snapshot is due.
  await context.route('**/v1/counts', async (route) => {
    while (hold) await new Promise((resolve) => setTimeout(resolve, 50));
    await route.continue();
  });
  const page = await open(site.url);
  await page.waitForTimeout(1000);
  hold = false;
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
  await page.waitForTimeout(1000);
  assert.ok(requests < 5, `${requests} requests`);
});
