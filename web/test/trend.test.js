/** The line of a topic's counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertUsableInAllColours } from './accessibility.js';
import { newVisitor, press, useBrowser } from './browser.js';
import { ADMIN_FLAG, assertLike, importPast } from './process.js';
import { startSite } from './site.js';
import { eventually } from './wait.js';

/** @typedef {import('playwright-core').Page} Page */

const browser = useBrowser();

const TREND = '<tally-trend page="post" label="Likes"><p>Not loaded</p></tally-trend>';

/** @param {Page} page */
const textOf = (page, selector = 'tally-trend') => page.locator(`${selector} [part=trend]`).getAttribute('aria-label');

/** @param {Page} page @param {RegExp} pattern */
const says = (page, pattern, selector = 'tally-trend') => eventually(async () => assert.match((await textOf(page, selector)) ?? '', pattern));

/**
 * Returns the points of a line, from left to right.
 * @param {Page} page
 */
const pointsOf = async (page, selector = 'tally-trend') => ((await page.locator(`${selector} [part=line]`).getAttribute('d')) ?? '').slice(1).split('L').map((each) => each.split(' ').map(Number));

/**
 * Records the addresses of the histories that pages ask for.
 * @param {import('playwright-core').BrowserContext} context
 */
function recordRequests(context) {
  /** @type {string[]} */
  const asked = [];
  context.on('request', (request) => request.url().includes('/v1/history/') && asked.push(new URL(request.url()).pathname + new URL(request.url()).search));
  return asked;
}

test('trend: the last point is live, also after an own press, over the connection of all elements', async (t) => {
  const site = await startSite(t, { '/': { body: `<tally-like page="post"></tally-like>${TREND}` } });
  for (const visitor of ['visitor-a', 'visitor-b', 'visitor-c']) await assertLike(site.service.url, 'default/likes/post', visitor);
  const { open, context, warnings } = await newVisitor(t, browser);
  const asked = recordRequests(context);
  let sockets = 0;
  context.on('page', (page) => page.on('websocket', () => sockets++));
  const page = await open(site.url);
  // The day before, the topic had none.
  await says(page, /^Likes, \S.*: 3 \(\+3\)$/);
  assert.equal(await page.getByText('Not loaded').isVisible(), false);
  assert.deepEqual(await pointsOf(page), [[96.6, 100], [100, 0]]);
  await assertLike(site.service.url, 'default/likes/post', 'visitor-d');
  await says(page, /: 4 \(\+4\)$/);
  await press(page, 'tally-like');
  assert.match((await textOf(page)) ?? '', /: 5 \(\+5\)$/, 'before the service answers');
  assert.deepEqual([asked, sockets], [['/v1/history/default/likes/post?by=day&last=30'], 1]);
  assert.deepEqual(warnings, []);
});

test('trend: a whole line, from its least to its greatest count', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-trend page="post" metric="claps"></tally-trend>' } }, { flags: [ADMIN_FLAG] });
  for (let i = 0; i < 10; i++) await assertLike(site.service.url, 'default/claps/post', `visitor-${i}`, 50);
  await importPast(site.service.url, 'default/claps/post', Array.from({ length: 39 }, (_, day) => 10 * day));
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  await says(page, /: 500 \(\+400\)$/);
  const points = await pointsOf(page);
  // The days from 100 to 380, and 500 now.
  assert.deepEqual([points.length, points[0], points[1], points[28], points[29]], [30, [0, 100], [3.4, 97.5], [96.6, 30], [100, 0]]);
  await assertLike(site.service.url, 'default/claps/post', 'visitor-0', 0);
  await says(page, /: 450 \(\+350\)$/);
  assert.deepEqual((await pointsOf(page)).slice(-2), [[96.6, 20], [100, 0]]);
});

test('trend: days, by the hour up to eight; language; right to left; a topic that nobody touched', async (t) => {
  const site = await startSite(t, {
    '/': {
      body:
        '<tally-trend id="week" page="post" days="7"></tally-trend><tally-trend id="year" page="post" days="900"></tally-trend><tally-trend id="bad" page="post" days="many"></tally-trend>' +
        '<tally-trend id="german" lang="de" page="post" label="Herzen"></tally-trend><tally-trend id="arabic" lang="ar-u-nu-latn" dir="rtl" page="post" label="إعجابات"></tally-trend>' +
        '<tally-trend id="none" page="nobody/touched ümlaut"></tally-trend><tally-trend id="invalid" lang="en_US" page="post"></tally-trend>',
    },
  });
  for (let i = 0; i < 1200; i += 50) await assertLike(site.service.url, 'default/claps/post', `visitor-${i}`, 50);
  const { open, context, warnings } = await newVisitor(t, browser, { locale: 'en-US', timezoneId: 'Asia/Tokyo' });
  const asked = recordRequests(context);
  site.pages['/'].body = (site.pages['/'].body ?? '').replaceAll(' page="post"', ' page="post" metric="claps"');
  const page = await open(site.url);
  await says(page, /^Trend, .*: 1,200 \(\+1,200\)$/, '#week');
  await says(page, /^Trend, .*: 1,200 \(\+1,200\)$/, '#invalid');
  await says(page, /^Herzen, .*: 1\.200 \(\+1\.200\)$/, '#german');
  await says(page, /^إعجابات, .*: 1,200 \(\u200e\+1,200\)$/, '#arabic');
  assert.deepEqual(await pointsOf(page, '#arabic'), [[3.4, 100], [0, 0]]);
  await says(page, /^Trend, 0$/, '#none');
  assert.deepEqual(
    asked.sort(),
    ['/v1/history/default/claps/post?by=day&last=30', '/v1/history/default/claps/post?by=day&last=30', '/v1/history/default/claps/post?by=day&last=30', '/v1/history/default/claps/post?by=day&last=30', '/v1/history/default/claps/post?by=day&last=400', '/v1/history/default/claps/post?by=hour&last=168', '/v1/history/default/likes/nobody/touched%20%C3%BCmlaut?by=day&last=30'].sort(),
  );
  assert.deepEqual(warnings, []);
});

test('trend: the children show until the line is there, and if there is none', async (t) => {
  const site = await startSite(t, { '/': { body: TREND }, '/wrong': { body: TREND.replace('page="post"', 'page="no//page"') } });
  const { open, context } = await newVisitor(t, browser);
  const script = context.waitForEvent('response', (response) => /\/tally-/.test(response.url()));
  const wrong = await open(`${site.url}/wrong`);
  await script;
  assert.deepEqual([await wrong.getByText('Not loaded').isVisible(), await wrong.locator('tally-trend [part=trend]').count()], [true, 0]);
  // The service is away when the page opens, and comes back.
  const away = (/** @type {import('playwright-core').Route} */ route) => route.abort();
  await context.route('**/v1/history/**', away);
  const page = await context.newPage();
  await page.clock.install();
  const failed = page.waitForEvent('requestfailed');
  await page.goto(site.url);
  await failed;
  assert.equal(await page.getByText('Not loaded').isVisible(), true);
  await context.unroute('**/v1/history/**', away);
  await page.clock.fastForward(16_000);
  await page.locator('tally-trend [part=trend]').waitFor();
  assert.equal(await page.getByText('Not loaded').isVisible(), false);
  // The topic is no longer served.
  await page.evaluate(() => {
    const events = /** @type {any} */ (window).events = /** @type {any[]} */ ([]);
    document.addEventListener('tally-error', (event) => events.push(/** @type {CustomEvent} */ (event).detail.code));
    document.querySelector('tally-trend')?.setAttribute('metric', 'nowhere');
  });
  await eventually(async () => assert.equal(await page.getByText('Not loaded').isVisible(), true));
  await eventually(async () => assert.ok((await page.evaluate(() => /** @type {any} */ (window).events)).includes('unknown_metric')));
});

test('trend: a visible line is loaded again, a paused or removed one is not', async (t) => {
  const site = await startSite(t, { '/': { body: TREND } });
  await assertLike(site.service.url, 'default/likes/post', 'visitor-a');
  const { context } = await newVisitor(t, browser);
  const asked = recordRequests(context);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await says(page, /: 1 \(\+1\)$/);
  await page.clock.fastForward(301_000);
  await eventually(() => assert.equal(asked.length, 2));
  await page.evaluate(() => document.querySelector('tally-trend')?.setAttribute('live', 'off'));
  await page.clock.fastForward(301_000);
  await page.clock.fastForward(301_000);
  assert.equal(asked.length, 2);
  await page.evaluate(() => document.querySelector('tally-trend')?.removeAttribute('live'));
  await page.clock.fastForward(301_000);
  await eventually(() => assert.equal(asked.length, 3));
  await page.evaluate(() => {
    const trend = /** @type {any} */ (window).trend = /** @type {Element} */ (document.querySelector('tally-trend'));
    trend.remove();
  });
  await page.clock.fastForward(301_000);
  await page.evaluate(() => document.body.append(/** @type {any} */ (window).trend));
  await eventually(() => assert.equal(asked.length, 4));
  await says(page, /: 1 \(\+1\)$/);
});

test('trend: reached by keyboard, with its numbers; axe finds no violation in light, dark, right to left, forced colours', async (t) => {
  const body = `<main><h1>A page</h1><p>Likes in a month: ${TREND}</p></main>`;
  const site = await startSite(t, { '/': { body, head: '<meta name="color-scheme" content="light dark">' }, '/rtl': { body, html: 'lang="ar" dir="rtl"' } });
  await assertLike(site.service.url, 'default/likes/post', 'visitor-a');
  for (const [path, width] of /** @type {[string, number][]} */ ([['/', 1280], ['/rtl', 320]])) {
    const { open } = await newVisitor(t, browser, { viewport: { width, height: 640 } });
    const page = await open(site.url + path);
    await page.locator('tally-trend [part=trend]').waitFor();
    assert.equal(await page.locator('tally-trend [part=exact]').isVisible(), false);
    await page.keyboard.press('Tab');
    await page.locator('tally-trend [part=exact]').waitFor();
    await assertUsableInAllColours(page, path);
  }
});
