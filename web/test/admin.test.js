/** The owner's dashboard, in a browser and against the real service. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { launch, newVisitor, SCREENS } from './browser.js';
import { assertLike, countOf, startRedis, startService } from './process.js';
import { assertUsable } from './accessibility.js';
import { eventually } from './wait.js';

const TOKEN = 'a-token-that-only-the-owner-knows';
const VIEWS = ['', 'topics', 'spikes', 'people', 'log', 'tokens'];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;
/** The folder for screenshots of the views, if any. */
const { SCREENSHOTS } = process.env;

before(async () => {
  const flags = [`--admin-token=${TOKEN}`, '--site=blog', '--rate-limit=off', '--topic-limit=off', '--new-topic-limit=off'];
  [browser, service] = await Promise.all([launch(), startService({ basePath: '/tally', flags })]);
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

/**
 * @param {string} method
 * @param {string} path below /admin/v1/
 * @param {unknown} [body]
 */
async function owner(method, path, body) {
  const response = await fetch(`${service.url}/admin/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  return text && JSON.parse(text);
}

/**
 * Opens the dashboard and signs in.
 * @param {import('node:test').TestContext} t
 * @param {{ view?: string, token?: string, at?: string, options?: import('playwright-core').BrowserContextOptions }} [how]
 */
async function openAdmin(t, { view = '', token = TOKEN, at = service.url, options } = {}) {
  const { context, open, warnings } = await newVisitor(t, browser, options);
  const page = await open(`${at}/admin/#/${view}`);
  await page.getByLabel('Admin token').fill(token);
  await page.keyboard.press('Enter');
  if (token === TOKEN) await page.getByRole('heading', { level: 1, name: /Overview|Topics|Spikes|Visitors|Audit log|Tokens/ }).waitFor();
  // The browser logs the 401 of the first call.
  return { page, context, warnings: () => warnings.filter((text) => !/401/.test(text)) };
}

/** @param {string} topic @param {number} n @param {string} [by] */
const likes = async (topic, n, by = 'reader') => {
  for (let i = 0; i < n; i++) await assertLike(service.url, topic, `${by}-number-${i}`);
};

test('session: sign in, wrong token, second tab, sign out', async (t) => {
  const { page, context } = await openAdmin(t, { token: 'a-token-that-is-not-the-owners' });
  await page.getByRole('alert').filter({ hasText: 'not the admin token' }).waitFor();
  assert.equal(await page.getByRole('navigation').isVisible(), false);
  await page.getByLabel('Admin token').fill(TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/tally/admin']);
  assert.ok(!cookie.value.includes(TOKEN));
  assert.equal(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie])), '[{},{},""]', 'scripts cannot read the session');
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  // Another tab signs in: this page's CSRF secret is outdated.
  assert.equal(await page.evaluate(async (token) => (await fetch('v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) })).status, TOKEN), 204);
  await page.goto(`${service.url}/admin/#/people`);
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-never-came');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await page.getByRole('button', { name: 'Forget', exact: true }).click();
  await page.locator('#toast').filter({ hasText: '0 contributions removed.' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Admin token').waitFor();
  await page.reload();
  await page.getByLabel('Admin token').waitFor();
});

test('overview: live counts, tiles, plot', async (t) => {
  await likes('blog/likes/overview', 3);
  const { page, warnings } = await openAdmin(t);
  const tile = (/** @type {string} */ name) => page.locator('.tiles div').filter({ has: page.getByText(name, { exact: true }) }).locator('dd');
  const top = page.getByRole('region', { name: 'Highest counts' }).getByRole('listitem').filter({ hasText: 'blog/likes/overview' }).locator('.count');
  await eventually(async () => assert.equal(await top.innerText(), '3'));
  await assertLike(service.url, 'blog/likes/overview', 'one-more-reader');
  await eventually(async () => assert.equal(await top.innerText(), '4'), 3000);
  const rising = page.getByRole('region', { name: 'Rising today' });
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

test('history: a plot by day and hour, live, that marks what was reverted', async (t) => {
  const topic = 'blog/likes/history of this';
  const from = new Date(Date.now() - 3_600_000).toISOString();
  await likes(topic, 5);
  await owner('POST', 'undo', { topics: [topic], from });
  await likes(topic, 3, 'another');
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=blog&metric=likes&prefix=history' });
  await page.getByRole('link', { name: topic }).click();
  await page.getByRole('heading', { level: 1, name: topic }).waitFor();
  await page.getByText(/^From 0 on .* to 3 now: \+3\. Highest: 3 on/).waitFor();
  await page.locator('.plot canvas').waitFor();
  await page.getByText('5 contributions to 1 topic reverted.').waitFor();
  await likes(topic, 1, 'one-more');
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
  await page.goto(`${service.url}/admin/#/history?topic=blog/likes/nobody`);
  await page.getByText('Nobody has contributed to this topic.').waitFor();
  await page.goto(`${service.url}/admin/#/history?topic=nowhere/likes/x`);
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
    const { context } = await newVisitor(t, browser);
    await prepare(context);
    const page = await context.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(`${service.url}/admin/`);
    await page.getByLabel('Admin token').fill(TOKEN);
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

test('overview: lost instance, store away', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const flags = [`--admin-token=${TOKEN}`];
  const pair = await Promise.all([startService({ store: redis.url, flags }), startService({ store: redis.url, flags })]);
  t.after(() => Promise.all(pair.map((each) => each.stop())));
  const { page } = await openAdmin(t, { at: pair[0].url });
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
  const { context, open, warnings } = await newVisitor(t, browser);
  await context.route('**/admin/v1/spikes*', (route) => route.fulfill({ status: 200, contentType: 'application/json', body: '{"spi' }));
  const page = await open(`${service.url}/admin/`);
  await page.getByLabel('Admin token').fill(TOKEN);
  const cutOff = page.waitForResponse(/spikes/);
  await page.keyboard.press('Enter');
  await (await cutOff).finished();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await page.getByText('Connected pages').waitFor();
  assert.deepEqual(warnings.filter((text) => !/401/.test(text)), []);
});

test('topics: search, pages, live counts', async (t) => {
  const seeds = Array.from({ length: 120 }, (_, i) => ({ topic: `blog/claps/paged/${String(i).padStart(3, '0')}`, seed: i }));
  await owner('POST', 'seeds', { seeds });
  const { page, warnings } = await openAdmin(t, { view: 'topics' });
  const search = page.getByRole('search');
  await search.getByLabel('Site').fill('blog');
  await search.getByLabel('Metric').fill('claps');
  await search.getByLabel('Key starts with').fill('paged/');
  await page.keyboard.press('Enter');
  await page.getByLabel('Sort by').selectOption('count');
  await eventually(async () => assert.equal(await page.getByRole('rowheader').first().innerText(), 'blog/claps/paged/119'));
  assert.equal(await page.getByRole('rowheader').count(), 50);
  await page.getByRole('button', { name: 'More topics' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 100));
  await page.getByRole('button', { name: 'More topics' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 120));
  assert.equal(await page.getByRole('button', { name: 'More topics' }).isVisible(), false);
  await assertLike(service.url, 'blog/claps/paged/119', 'some-reader', 5);
  await eventually(async () => assert.equal(await page.getByRole('row', { name: 'blog/claps/paged/119' }).locator('.count').innerText(), '124'));
  await page.goBack();
  await eventually(async () => assert.equal(await page.getByLabel('Sort by').inputValue(), 'newest'));
  assert.equal(await page.getByLabel('Key starts with').inputValue(), 'paged/');
  assert.deepEqual(warnings(), []);
});

test('topics: export, delete unused', async (t) => {
  await owner('POST', 'seeds', { seeds: [{ topic: 'default/wow/untouched', seed: 4 }] });
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=default&metric=wow' });
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
  assert.match(await readFile(await download.path(), 'utf8'), /default\/wow\/untouched,4/);
  await page.getByText('Delete unused topics').click();
  const form = page.locator('details form');
  await form.getByLabel('Site').fill('default');
  await form.getByLabel('Metric').fill('wow');
  const look = form.getByRole('button', { name: 'Review…' });
  await form.getByLabel('No change since').fill('2020-01-01T00:00:00');
  await look.click();
  await page.locator('#toast').filter({ hasText: 'No unused topics found.' }).waitFor();
  const dialog = page.getByRole('dialog', { name: 'Delete 1 topic?' });
  await eventually(async () => {
    // The field has no fractions of a second.
    const now = await page.evaluate(() => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19));
    await form.getByLabel('No change since').fill(now);
    await look.click();
    await dialog.waitFor({ timeout: 1000 });
  });
  await dialog.getByText('default/wow/untouched: 4').waitFor();
  await dialog.getByRole('button', { name: 'Delete 1' }).click();
  await page.locator('#toast').filter({ hasText: '1 topic deleted.' }).waitFor();
  await page.getByText('No topics found.').waitFor();
  assert.deepEqual(warnings(), []);
});

test('edit: every action by keyboard, each described first', async (t) => {
  await likes('blog/likes/edited', 3);
  await likes('blog/likes/other', 2, 'another');
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=blog&metric=likes&prefix=edited' });
  const toast = page.locator('#toast');
  const dialog = page.getByRole('dialog');
  /** @param {string} topic @param {string} action */
  const choose = async (topic, action) => {
    await page.getByRole('button', { name: `Edit… ${topic}` }).focus();
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await dialog.getByRole('radio', { name: action, exact: true }).focus();
    await page.keyboard.press('Space');
  };
  await choose('blog/likes/edited', 'Set the count');
  await dialog.getByLabel('Count shown on pages').fill('40');
  await dialog.getByText('Open pages show 40 instead of 3.', { exact: false }).waitFor();
  await dialog.getByText('the adjustment changes from 0 to +37', { exact: false }).waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await countOf(service.url, 'blog/likes/edited'), 3, 'cancelling changes nothing');
  await choose('blog/likes/edited', 'Set the count');
  await dialog.getByLabel('Count shown on pages').fill('40');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'blog/likes/edited: the count is now 40.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/edited'), 40);
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Edit… blog/likes/edited', 'the focus returns');

  await choose('blog/likes/edited', 'Set the seed');
  await dialog.getByLabel(/^Seed/).fill('10');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'the seed is now 10, the count 50' }).waitFor();

  await choose('blog/likes/edited', 'Rename');
  await dialog.getByLabel('New name').fill('blog/likes/other');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  await dialog.getByLabel('New name').fill('blog/likes/edited-well');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'Renamed blog/likes/edited to blog/likes/edited-well, count 50.' }).waitFor();

  await page.goto(`${service.url}/admin/#/topics?site=blog&metric=likes&prefix=edited-well`);
  await choose('blog/likes/edited-well', 'Merge into another topic');
  await dialog.getByLabel(/^Other topic/).fill('blog/likes/other');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'into blog/likes/other, count 52.' }).waitFor();

  await page.goto(`${service.url}/admin/#/topics?site=blog&metric=likes&prefix=other`);
  await choose('blog/likes/other', 'Reset');
  await dialog.getByText('Open pages show 0.', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Reset to 0' }).press('Enter');
  await toast.filter({ hasText: 'blog/likes/other: the count is now 0.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/other'), 0);
  await choose('blog/likes/other', 'Delete');
  await dialog.getByRole('button', { name: 'Delete' }).press('Enter');
  await toast.filter({ hasText: 'Deleted blog/likes/other.' }).waitFor();

  await owner('POST', 'seeds', { seeds: [{ topic: 'blog/likes/seeded', seed: 12345 }] });
  await page.getByRole('link', { name: 'Audit log' }).click();
  await page.getByRole('cell', { name: 'count 0 → 12,345, seed 0 → 12,345' }).waitFor();
  for (const action of ['set', 'seed', 'rename', 'reset', 'delete']) await page.getByRole('cell', { name: action, exact: true }).first().waitFor();
  assert.deepEqual(warnings().filter((text) => !/409|400|status of 4/.test(text)), []);
});

test('spikes: review and revert; open pages follow', async (t) => {
  await likes('blog/likes/spiked', 40, 'machine');
  const { page, warnings } = await openAdmin(t, { view: 'spikes' });
  const watching = await openAdmin(t, { view: 'topics?site=blog&metric=likes&prefix=spiked' });
  const shown = watching.page.getByRole('row', { name: 'blog/likes/spiked' }).locator('.count');
  await eventually(async () => assert.equal(await shown.innerText(), '40'));
  const card = page.getByRole('listitem').filter({ hasText: 'blog/likes/spiked' });
  await card.getByText(/^40 contributions from 1 network, .*\. Usual in an hour: 0 to this topic\.$/).waitFor();
  await card.getByRole('button', { name: /Review and revert/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Revert 40 contributions?' });
  await dialog.getByText('From 1 network to 1 topic', { exact: false }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/spiked'), 40, 'a preview changes nothing');
  await dialog.getByRole('button', { name: 'Revert 40' }).click();
  await page.locator('#toast').filter({ hasText: '40 contributions reverted.' }).waitFor();
  await eventually(async () => assert.equal(await shown.innerText(), '0'));
  assert.equal(await countOf(service.url, 'blog/likes/spiked'), 0);
  await card.waitFor({ state: 'detached' });
  // A spike that another owner reverts is listed no longer either.
  await likes('blog/likes/reverted', 40, 'machine');
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  const other = page.getByRole('listitem').filter({ hasText: 'blog/likes/reverted' });
  await other.waitFor();
  await owner('POST', 'undo', { topics: ['blog/likes/reverted'], from: new Date(Date.now() - 3_600_000).toISOString() });
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await other.waitFor({ state: 'detached' });
  assert.deepEqual(warnings(), []);
});

test('visitors: block, unblock, forget', async (t) => {
  await assertLike(service.url, 'blog/likes/people', 'a-visitor-who-leaves');
  const { page, warnings } = await openAdmin(t, { view: 'people' });
  const dialog = page.getByRole('dialog');
  await page.getByText('Nothing is blocked.').waitFor();
  await page.getByLabel('Address range or visitor id').fill('203.0.113.0/24');
  await page.getByLabel('Reason').fill('A click farm');
  await page.getByRole('button', { name: 'Block…' }).click();
  await dialog.getByText('refuses new contributions', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Block' }).click();
  await page.getByRole('row', { name: '203.0.113.0/24' }).getByText('A click farm').waitFor();
  assert.deepEqual((await owner('GET', 'blocks')).blocks, [{ range: '203.0.113.0/24', reason: 'A click farm' }]);
  await page.getByRole('button', { name: 'Unblock… 203.0.113.0/24' }).click();
  await dialog.getByRole('button', { name: 'Unblock' }).click();
  await page.getByText('Nothing is blocked.').waitFor();
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-leaves');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await dialog.getByRole('button', { name: 'Forget' }).click();
  await page.locator('#toast').filter({ hasText: '1 contribution removed.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/people'), 0);
  assert.deepEqual(warnings(), []);
});

test('tokens: create, use, revoke', async (t) => {
  await likes('blog/likes/token', 2);
  const { page, warnings } = await openAdmin(t, { view: 'tokens' });
  await page.getByText('No tokens yet.').waitFor();
  await page.getByLabel('Name').fill('editorial');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('Choose at least one site.').waitFor();
  await page.getByLabel('blog', { exact: true }).check();
  await page.getByRole('button', { name: 'Create' }).click();
  const token = await page.getByRole('dialog').getByLabel('Token').inputValue();
  assert.match(token, /^tally_/);
  await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click();
  await page.getByRole('row', { name: 'editorial' }).getByText('viewer').waitFor();
  assert.equal(await page.getByText(token).count(), 0, 'the token is shown once');

  const viewer = await openAdmin(t, { token });
  await viewer.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  assert.deepEqual(await viewer.page.locator('#nav a:visible').allInnerTexts(), ['Overview', 'Topics', 'Spikes', 'Audit log']);
  assert.equal(await viewer.page.getByRole('heading', { name: 'Instances' }).count(), 0);
  await viewer.page.goto(`${service.url}/admin/#/topics?site=blog&metric=likes&prefix=token`);
  await viewer.page.getByRole('row', { name: 'blog/likes/token' }).waitFor();
  assert.equal(await viewer.page.getByRole('button', { name: /^(Edit|Export|Delete)/ }).count(), 0);
  // The address of a view that the token may not see shows the overview.
  await viewer.page.goto(`${service.url}/admin/#/tokens`);
  await viewer.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  assert.deepEqual(viewer.warnings(), []);

  await page.getByRole('button', { name: 'Revoke… editorial' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('No tokens yet.').waitFor();
  await viewer.page.goto(`${service.url}/admin/#/log`);
  await viewer.page.getByLabel('Admin token').waitFor();
  assert.deepEqual(warnings(), []);
});

test('accessibility: every view, light and dark, desktop and phone', async (t) => {
  await likes('blog/likes/a-post-with-a-name-that-is-rather-long/and-has-segments', 50, 'machine');
  await owner('POST', 'blocks', { range: '198.51.100.0/24', reason: 'A click farm' });
  t.after(() => owner('DELETE', 'blocks', { range: '198.51.100.0/24' }));
  await owner('POST', 'tokens', { name: 'editorial', role: 'editor', sites: ['blog', 'default'] });
  t.after(() => owner('DELETE', 'tokens/editorial'));
  for (const { colorScheme, width, height, visual } of SCREENS) {
    /** @param {import('playwright-core').Page} page @param {string} view */
    const examine = async (page, view) => {
      const what = `${view}-${colorScheme}-${width}`;
      await assertUsable(page, what, { visual });
      if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `admin-${what}.png`), fullPage: view === 'overview' });
    };
    const options = { colorScheme, viewport: { width, height }, reducedMotion: /** @type {const} */ ('reduce') };
    const { open } = await newVisitor(t, browser, options);
    const page = await open(`${service.url}/admin/`);
    await page.getByLabel('Admin token').waitFor();
    await examine(page, 'signin');
    await page.getByLabel('Admin token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    for (const view of VIEWS) {
      await page.goto(`${service.url}/admin/#/${view}`);
      await page.locator({ '': '.top li .count', topics: 'tbody tr', spikes: '.spikes li', people: 'tbody tr', log: 'tbody tr', tokens: 'tbody tr' }[view] ?? '').first().waitFor();
      if (!view) await page.locator('.plot canvas').waitFor();
      await examine(page, view || 'overview');
    }
    await page.goto(`${service.url}/admin/#/topics`);
    await page.getByRole('button', { name: /^Edit/ }).first().click();
    await page.getByRole('radio', { name: 'Reset' }).check();
    await examine(page, 'edit');
  }
});

test('content security policy: no violation, no foreign request', async (t) => {
  const { context, open } = await newVisitor(t, browser);
  await context.addInitScript(() => {
    const violations = /** @type {any} */ (window).violations = /** @type {string[]} */ ([]);
    addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`), true);
  });
  /** @type {string[]} */
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const page = await open(`${service.url}/admin/`);
  await page.getByLabel('Admin token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await page.locator('.plot canvas').waitFor();
  await page.locator('.top .count').first().waitFor();
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).violations), []);
  assert.deepEqual(asked.filter((url) => !url.startsWith(service.url)), []);
});

test('plot: bundled files match the library', async () => {
  const web = join(import.meta.dirname, '..');
  const { outputFiles } = await build({
    absWorkingDir: web, entryPoints: ['admin/src/plot.js'], outdir: 'admin', entryNames: '[name]', bundle: true, write: false,
    format: 'esm', target: 'es2022', minify: true, legalComments: 'eof', charset: 'utf8', logLevel: 'silent',
  });
  for (const { path, text } of outputFiles) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    assert.equal(text, await readFile(join(web, 'dist/admin', name), 'utf8'), `dist/admin/${name} is older than its source: run go generate ./web`);
  }
  assert.equal(outputFiles.length, 2);
});

test('topics: a poll shows bars, and its numbers are edited as a list', async (t) => {
  for (const [visitor, option] of /** @type {[string, number][]} */ ([['visitor-a', 1], ['visitor-b', 3], ['visitor-c', 3]])) {
    const response = await fetch(`${service.url}/v1/blog/poll/lunch`, { method: 'POST', body: JSON.stringify({ visitor, option }) });
    assert.equal(response.status, 200);
  }
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=blog&metric=poll' });
  const row = page.getByRole('row').filter({ hasText: 'blog/poll/lunch' });
  const options = () => row.locator('.options li').allInnerTexts();
  const expect = (/** @type {string[]} */ texts) => eventually(async () => assert.deepEqual((await options()).map((text) => text.replace(/\s+/g, ' ')), texts));
  await expect(['1 1', '2 0', '3 2']);
  await fetch(`${service.url}/v1/blog/poll/lunch`, { method: 'POST', body: JSON.stringify({ visitor: 'visitor-d', option: 2 }) });
  await expect(['1 1', '2 1', '3 2']);
  await row.getByRole('button', { name: /Edit/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Enter what they should show.').waitFor();
  await dialog.getByLabel('Count shown on pages').fill('5, 1, 2, 0, 0, 0, 0, 0, 0, 0');
  await dialog.getByText('Open pages show 5 · 1 · 2', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Set the count' }).click();
  await expect(['1 5', '2 1', '3 2']);
  await assertUsable(page, 'topics with options');
  assert.deepEqual(warnings(), []);
});
