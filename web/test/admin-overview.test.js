/** The owner's dashboard: the overview, and the history of a topic. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertUsable } from './accessibility.js';
import { newVisitor } from './browser.js';
import { useDashboard } from './dashboard.js';
import { ADMIN_FLAG, ADMIN_TOKEN, assertLike, startRedis, startService } from './process.js';
import { eventually } from './wait.js';

const dashboard = useDashboard();

test('overview: live counts, tiles, plot', async (t) => {
  await dashboard.like('blog/likes/overview', 3);
  const { page, warnings } = await dashboard.open(t);
  const tile = (/** @type {string} */ name) => page.locator('.tiles div').filter({ has: page.getByText(name, { exact: true }) }).locator('dd');
  const top = page.getByRole('region', { name: 'Highest counts' }).getByRole('listitem').filter({ hasText: 'blog/likes/overview' }).locator('.count');
  await eventually(async () => assert.equal(await top.innerText(), '3'));
  // A search that finds the same topics does not write their counts.
  await assertLike(dashboard.url, 'blog/likes/overview', 'one-more-reader');
  await eventually(async () => assert.equal(await top.innerText(), '4'), 3000);
  const rising = page.getByRole('region', { name: 'Rising' });
  await eventually(async () => assert.match(await rising.innerText(), /blog\/likes\/overview\s+\+[34]/), 30_000);
  await rising.getByLabel('Metric').selectOption('sad');
  await rising.getByText('No topic of this metric gained anything.').waitFor();
  // Heartbeats come every 5 s with the number of changes.
  await eventually(async () => assert.ok(Number(await tile('Contributions, last hour').innerText()) >= 4), 20_000);
  await eventually(async () => assert.ok(Number(await tile('Connected pages').innerText()) >= 1, 'this page is connected'), 20_000);
  await page.getByRole('cell', { name: 'live' }).waitFor();
  await page.getByText(/contributions in this period. Peak:/).waitFor();
  assert.ok(await page.locator('.plot canvas').evaluate((/** @type {HTMLCanvasElement} */ c) => c.width > 200 && c.getContext('2d')?.getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)), 'the plot is drawn');
  await page.getByRole('combobox', { name: 'Site' }).selectOption('blog');
  await page.getByLabel('Period').selectOption('1440');
  await page.getByText(/contributions in this period/).waitFor();
  assert.deepEqual(warnings(), []);
});

test('overview: lost instance, store away', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const flags = [ADMIN_FLAG];
  const pair = await Promise.all([startService({ store: redis.url, flags }), startService({ store: redis.url, flags })]);
  t.after(() => Promise.all(pair.map((each) => each.stop())));
  const { page } = await dashboard.open(t, { at: pair[0].url });
  const states = page.locator('.badge');
  await assertLike(pair[0].url, 'default/likes/hello', 'a-reader-of-hello');
  await eventually(async () => assert.deepEqual(await states.allInnerTexts(), ['live', 'live']), 20_000);
  await pair[1].stop();
  await eventually(async () => assert.match((await states.allInnerTexts()).sort().join(), /^live,lost, last seen /), 40_000);
  const contributions = page.locator('.tiles div').filter({ hasText: 'Contributions, last hour' }).locator('dd');
  await eventually(async () => assert.equal(await contributions.innerText(), '1'), 20_000);
  redis.signal('SIGSTOP');
  await eventually(async () => assert.match(await page.locator('.warning').first().innerText(), /^Store problem: .*not answer/), 20_000);
  assert.equal(await contributions.innerText(), '1', 'the last known number stays');
});

test('overview: a response that is cut off', async (t) => {
  const { context, open, warnings } = await newVisitor(t, dashboard.browser);
  await context.route('**/admin/v1/spikes*', (route) => route.fulfill({ status: 200, contentType: 'application/json', body: '{"spi' }));
  const page = await open(`${dashboard.url}/admin/`);
  await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
  const cutOff = page.waitForResponse(/spikes/);
  await page.keyboard.press('Enter');
  await (await cutOff).finished();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await page.getByText('Connected pages').waitFor();
  assert.deepEqual(warnings.filter((text) => !/401/.test(text)), []);
});

test('history: a plot by day and hour, live, that marks what was reverted', async (t) => {
  const topic = 'blog/likes/history of this';
  const from = new Date(Date.now() - 3_600_000).toISOString();
  await dashboard.like(topic, 5);
  await dashboard.call('POST', 'undo', { topics: [topic], from });
  await dashboard.like(topic, 3, 'another');
  const { page, warnings } = await dashboard.open(t, { view: 'topics?site=blog&metric=likes&prefix=history' });
  await page.getByRole('link', { name: topic }).click();
  await page.getByRole('heading', { level: 1, name: topic }).waitFor();
  await page.getByText(/^From 0 on .* to 3 now: \+3\. Highest: 3 on/).waitFor();
  await page.locator('.plot canvas').waitFor();
  await page.getByText('5 contributions to 1 topic reverted.').waitFor();
  await dashboard.like(topic, 1, 'one-more');
  await page.getByText(/to 4 now: \+4\./).waitFor();
  await page.getByLabel('Period').selectOption('hour 48');
  await page.getByText(/^From 0 at .* to 4 now/).waitFor();
  await page.getByText('All numbers').click();
  await page.getByRole('row').filter({ hasText: '+4' }).waitFor();
  // Above the axis the plot has the colour of the mark, which is not that of the line.
  assert.ok(await page.locator('.plot canvas').evaluate((/** @type {HTMLCanvasElement} */ c) => {
    const { data } = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d')).getImageData(0, 20, c.width, 1);
    return data.some((alpha, i) => i % 4 === 3 && alpha > 50 && alpha < 80);
  }), 'the revert is marked');
  await assertUsable(page, 'history');
  await page.goto(`${dashboard.url}/admin/#/history?topic=blog/likes/nobody`);
  await page.getByText('Nobody has contributed to this topic.').waitFor();
  await page.goto(`${dashboard.url}/admin/#/history?topic=nowhere/likes/x`);
  await page.getByRole('status').filter({ hasText: 'nowhere' }).waitFor();
  assert.deepEqual(warnings().filter((text) => !/400|404/.test(text)), []);
});

test('plot: a fault hides only the plot', async (t) => {
  /** @type {Record<string, (context: import('playwright-core').BrowserContext) => Promise<unknown>>} */
  const faults = {
    'invalid language': (context) => context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'language', { get: () => 'C' })),
    'script not loaded': (context) => context.route('**/plot.js', (route) => route.abort()),
    'script throws': (context) => context.route('**/plot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'throw new Error("broken")' })),
    'library throws on the first draw': (context) => context.route('**/plot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'export default class { constructor() { throw new Error("broken"); } }' })),
    'library throws on a later draw': (context) =>
      context.route('**/plot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'export default class { setData() { throw new Error("broken"); } destroy() { throw new Error("broken"); } }' })),
  };
  for (const [name, prepare] of Object.entries(faults)) {
    const { context } = await newVisitor(t, dashboard.browser);
    await prepare(context);
    const page = await context.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(`${dashboard.url}/admin/`);
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await page.getByText(/contributions? in this period/i).waitFor();
    await page.getByLabel('Period').selectOption('1440');
    await page.locator('.plot').waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'Topics' }).click();
    await page.getByRole('heading', { name: 'Topics' }).waitFor();
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByRole('heading', { name: 'Highest counts' }).waitFor();
    assert.deepEqual(errors, [], name);
    await context.close();
  }
});
