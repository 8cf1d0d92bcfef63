/** The owner's dashboard, in a browser and against the real service. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { launch, newVisitor, SCREENS } from './browser.js';
import { assertLike, countOf, startRedis, startService } from './process.js';
import { assertUsable } from './accessibility.js';
import { eventually } from './wait.js';

const TOKEN = 'a-token-that-only-the-owner-knows';
const VIEWS = ['', 'topics', 'spikes', 'people', 'log'];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;
/** Where the screenshots of this run are. */
let shots = '';

before(async () => {
  const flags = [`--admin-token=${TOKEN}`, '--site=blog', '--rate-limit=off', '--new-topic-limit=off'];
  [browser, service] = await Promise.all([launch(), startService({ basePath: '/tally', flags })]);
  shots = process.env.SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), 'tallycast-screenshots-')));
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
 * Opens the dashboard as somebody who is signed in, unless told otherwise.
 * @param {import('node:test').TestContext} t
 * @param {{ view?: string, token?: string, at?: string, options?: import('playwright-core').BrowserContextOptions }} [how]
 */
async function openAdmin(t, { view = '', token = TOKEN, at = service.url, options } = {}) {
  const { context, open, warnings } = await newVisitor(t, browser, options);
  const page = await open(`${at}/admin/#/${view}`);
  await page.getByLabel('Admin token').fill(token);
  await page.keyboard.press('Enter');
  if (token === TOKEN) await page.getByRole('heading', { level: 1, name: /Overview|Topics|Spikes|People|Log/ }).waitFor();
  // That nobody was signed in at first, the browser tells as a failure.
  return { page, context, warnings: () => warnings.filter((text) => !/401/.test(text)) };
}

/** @param {string} topic @param {number} n @param {string} [by] */
const likes = async (topic, n, by = 'reader') => {
  for (let i = 0; i < n; i++) await assertLike(service.url, topic, `${by}-number-${i}`);
};

test('the token opens it, a wrong one does not, and signing out closes it', async (t) => {
  const { page, context } = await openAdmin(t, { token: 'a-token-that-is-not-the-owners' });
  await page.getByRole('alert').filter({ hasText: 'not the admin token' }).waitFor();
  assert.equal(await page.getByRole('navigation').isVisible(), false);
  await page.getByLabel('Admin token').fill(TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/tally/admin']);
  assert.ok(!cookie.value.includes(TOKEN));
  assert.equal(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie])), '[{},{},""]', 'nothing is kept where scripts read');
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  // Another tab signs in anew: what this one was told to prove itself with is outdated.
  assert.equal(await page.evaluate(async (token) => (await fetch('v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) })).status, TOKEN), 204);
  await page.goto(`${service.url}/admin/#/people`);
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-never-came');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await page.getByRole('button', { name: 'Forget', exact: true }).click();
  await page.locator('#said').filter({ hasText: '0 contributions taken back.' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Admin token').waitFor();
  await page.reload();
  await page.getByLabel('Admin token').waitFor();
});

test('the overview shows who is here and what moves, as it moves', async (t) => {
  await likes('blog/likes/overview', 3);
  const { page, warnings } = await openAdmin(t);
  const tile = (/** @type {string} */ name) => page.locator('.tiles div').filter({ has: page.getByText(name, { exact: true }) }).locator('dd');
  const top = page.locator('.top li').filter({ hasText: 'blog/likes/overview' }).locator('.count');
  await eventually(async () => assert.equal(await top.innerText(), '3'));
  await assertLike(service.url, 'blog/likes/overview', 'one-more-reader');
  await eventually(async () => assert.equal(await top.innerText(), '4'), 3000);
  // Pulses come every 5 s, and bring what changed.
  await eventually(async () => assert.ok(Number(await tile('Contributions in an hour').innerText()) >= 4), 20_000);
  await eventually(async () => assert.ok(Number(await tile('Viewers').innerText()) >= 1, 'this page is one'), 20_000);
  await page.getByRole('cell', { name: 'live' }).waitFor();
  await page.getByText(/contributions changed in this time; the most in a minute/).waitFor();
  assert.ok(await page.locator('.plot canvas').evaluate((/** @type {HTMLCanvasElement} */ c) => c.width > 200 && c.getContext('2d')?.getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)), 'the plot is drawn');
  await page.getByLabel('Of').selectOption('blog');
  await page.getByLabel('Over').selectOption('1440');
  await page.getByText(/contributions changed in this time/).waitFor();
  assert.deepEqual(warnings(), []);
});

test('a plot that cannot be drawn hides nothing but itself', async (t) => {
  /** @type {Record<string, (context: import('playwright-core').BrowserContext) => Promise<unknown>>} */
  const faults = {
    'a language that is no language tag': (context) => context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'language', { get: () => 'C' })),
    'no answer': (context) => context.route('**/plot.js', (route) => route.abort()),
    'a script that throws': (context) => context.route('**/plot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'throw new Error("broken")' })),
    'a library that throws when it draws': (context) => context.route('**/plot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'export default class { constructor() { throw new Error("broken"); } }' })),
    'a library that throws when it redraws': (context) =>
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
    await page.getByText(/contributions? changed in this time|Nothing changed in this time/).waitFor();
    await page.getByLabel('Over').selectOption('1440');
    await page.locator('.plot').waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'Topics' }).click();
    await page.getByRole('heading', { name: 'Topics' }).waitFor();
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByRole('heading', { name: 'Highest counts' }).waitFor();
    assert.deepEqual(errors, [], name);
    await context.close();
  }
});

test('an instance that falls silent is marked, and a store that is away is told', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const flags = [`--admin-token=${TOKEN}`];
  const pair = await Promise.all([startService({ store: redis.url, flags }), startService({ store: redis.url, flags })]);
  t.after(() => Promise.all(pair.map((each) => each.stop())));
  const { page } = await openAdmin(t, { at: pair[0].url });
  const states = page.locator('.badge');
  await eventually(async () => assert.deepEqual(await states.allInnerTexts(), ['live', 'live']), 20_000);
  await pair[1].stop();
  await eventually(async () => assert.match((await states.allInnerTexts()).sort().join(), /^live,silent since /), 40_000);
  await redis.stop();
  await eventually(async () => assert.match(await page.locator('.warning').first().innerText(), /^The store: /), 20_000);
});

test('topics are searched, paged, and follow live', async (t) => {
  const seeds = Array.from({ length: 120 }, (_, i) => ({ topic: `blog/claps/paged/${String(i).padStart(3, '0')}`, seed: i }));
  await owner('POST', 'seeds', { seeds });
  const { page, warnings } = await openAdmin(t, { view: 'topics' });
  const search = page.getByRole('search');
  await search.getByLabel('Site').fill('blog');
  await search.getByLabel('Metric').fill('claps');
  await search.getByLabel('Key begins with').fill('paged/');
  await page.keyboard.press('Enter');
  await page.getByLabel('Order').selectOption('count');
  await eventually(async () => assert.equal(await page.getByRole('rowheader').first().innerText(), 'blog/claps/paged/119'));
  assert.equal(await page.getByRole('rowheader').count(), 50);
  await page.getByRole('button', { name: 'More' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 100));
  await page.getByRole('button', { name: 'More' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 120));
  assert.equal(await page.getByRole('button', { name: 'More' }).isVisible(), false);
  await assertLike(service.url, 'blog/claps/paged/119', 'some-reader', 5);
  await eventually(async () => assert.equal(await page.getByRole('row', { name: 'blog/claps/paged/119' }).locator('.count').innerText(), '124'));
  await page.goBack();
  await eventually(async () => assert.equal(await page.getByLabel('Order').inputValue(), 'newest'));
  assert.equal(await page.getByLabel('Key begins with').inputValue(), 'paged/');
  assert.deepEqual(warnings(), []);
});

test('topics that nobody touches are looked at and deleted, and all are exported', async (t) => {
  await owner('POST', 'seeds', { seeds: [{ topic: 'default/wow/untouched', seed: 4 }] });
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=default&metric=wow' });
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'as CSV' }).click()]);
  assert.match(await readFile(await download.path(), 'utf8'), /default\/wow\/untouched,4/);
  await page.getByText('Delete what nobody touches').click();
  const form = page.locator('details form');
  await form.getByLabel('Site').fill('default');
  await form.getByLabel('Metric').fill('wow');
  const look = form.getByRole('button', { name: 'Look…' });
  await form.getByLabel('Untouched since').fill('2020-01-01T00:00:00');
  await look.click();
  await page.locator('#said').filter({ hasText: 'There is no topic' }).waitFor();
  const dialog = page.getByRole('dialog', { name: 'Delete 1 topic?' });
  await eventually(async () => {
    // What was touched in this very second is still touched.
    const now = await page.evaluate(() => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19));
    await form.getByLabel('Untouched since').fill(now);
    await look.click();
    await dialog.waitFor({ timeout: 1000 });
  });
  await dialog.getByText('default/wow/untouched: 4').waitFor();
  await dialog.getByRole('button', { name: 'Delete 1' }).click();
  await page.locator('#said').filter({ hasText: '1 topic deleted.' }).waitFor();
  await page.getByText('There is no such topic.').waitFor();
  assert.deepEqual(warnings(), []);
});

test('a topic is set, renamed, merged, reset and deleted, each said before it happens, by keyboard', async (t) => {
  await likes('blog/likes/mended', 3);
  await likes('blog/likes/other', 2, 'another');
  const { page, warnings } = await openAdmin(t, { view: 'topics?site=blog&metric=likes&prefix=mended' });
  const said = page.locator('#said');
  const dialog = page.getByRole('dialog');
  /** @param {string} topic @param {string} deed */
  const choose = async (topic, deed) => {
    await page.getByRole('button', { name: `Mend… ${topic}` }).focus();
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await dialog.getByRole('radio', { name: deed, exact: true }).focus();
    await page.keyboard.press('Space');
  };
  await choose('blog/likes/mended', 'Set the number');
  await dialog.getByLabel('The number that is shown').fill('40');
  await dialog.getByText('Every open page shows 40 instead of 3.', { exact: false }).waitFor();
  await dialog.getByText('the adjustment goes from 0 to +37', { exact: false }).waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await countOf(service.url, 'blog/likes/mended'), 3, 'nothing happens where somebody leaves');
  await choose('blog/likes/mended', 'Set the number');
  await dialog.getByLabel('The number that is shown').fill('40');
  await page.keyboard.press('Enter');
  await said.filter({ hasText: 'blog/likes/mended shows 40 now.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/mended'), 40);
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Mend… blog/likes/mended', 'focus comes back');

  await choose('blog/likes/mended', 'Set the seed');
  await dialog.getByLabel('What it begins with').fill('10');
  await page.keyboard.press('Enter');
  await said.filter({ hasText: 'has the seed 10 now, and shows 50' }).waitFor();

  await choose('blog/likes/mended', 'Rename');
  await dialog.getByLabel('Its new name').fill('blog/likes/other');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  await dialog.getByLabel('Its new name').fill('blog/likes/mended-well');
  await page.keyboard.press('Enter');
  await said.filter({ hasText: 'blog/likes/mended is blog/likes/mended-well now, and shows 50.' }).waitFor();

  await page.goto(`${service.url}/admin/#/topics?site=blog&metric=likes&prefix=mended-well`);
  await choose('blog/likes/mended-well', 'Merge into another');
  await dialog.getByLabel('The topic that it becomes a part of').fill('blog/likes/other');
  await page.keyboard.press('Enter');
  await said.filter({ hasText: 'blog/likes/other shows 52 now' }).waitFor();

  await page.goto(`${service.url}/admin/#/topics?site=blog&metric=likes&prefix=other`);
  await choose('blog/likes/other', 'Reset');
  await dialog.getByText('Every open page shows 0.', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Reset to 0' }).press('Enter');
  await said.filter({ hasText: 'blog/likes/other begins at 0 again.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/other'), 0);
  await choose('blog/likes/other', 'Delete');
  await dialog.getByRole('button', { name: 'Delete' }).press('Enter');
  await said.filter({ hasText: 'blog/likes/other is gone.' }).waitFor();

  await page.getByRole('link', { name: 'Log' }).click();
  for (const action of ['set', 'seed', 'rename', 'reset', 'delete']) await page.getByRole('cell', { name: action, exact: true }).first().waitFor();
  assert.deepEqual(warnings().filter((text) => !/409|400|status of 4/.test(text)), []);
});

test('a spike is looked at, undone, and every open page follows', async (t) => {
  await likes('blog/likes/spiked', 30, 'machine');
  const { page, warnings } = await openAdmin(t, { view: 'spikes' });
  const watching = await openAdmin(t, { view: 'topics?site=blog&metric=likes&prefix=spiked' });
  const shown = watching.page.getByRole('row', { name: 'blog/likes/spiked' }).locator('.count');
  await eventually(async () => assert.equal(await shown.innerText(), '30'));
  const card = page.getByRole('listitem').filter({ hasText: 'blog/likes/spiked' });
  await card.getByText(/^30 contributions/).waitFor();
  await card.getByRole('button', { name: /Look and undo/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Take back 30 contributions?' });
  await dialog.getByText('from 1 network, to 1 topic', { exact: false }).waitFor();
  await page.screenshot({ path: join(shots, 'admin-undo.png') });
  assert.equal(await countOf(service.url, 'blog/likes/spiked'), 30, 'looking changes nothing');
  await dialog.getByRole('button', { name: 'Take back 30' }).click();
  await page.locator('#said').filter({ hasText: '30 contributions taken back.' }).waitFor();
  await eventually(async () => assert.equal(await shown.innerText(), '0'));
  assert.equal(await countOf(service.url, 'blog/likes/spiked'), 0);
  await card.waitFor({ state: 'detached' });
  // One that is reverted elsewhere is listed no longer either.
  await likes('blog/likes/reverted', 30, 'machine');
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  const other = page.getByRole('listitem').filter({ hasText: 'blog/likes/reverted' });
  await other.waitFor();
  await owner('POST', 'undo', { topics: ['blog/likes/reverted'], from: new Date(Date.now() - 3_600_000).toISOString() });
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await other.waitFor({ state: 'detached' });
  assert.deepEqual(warnings(), []);
});

test('somebody is blocked and unblocked, and a visitor forgotten', async (t) => {
  await assertLike(service.url, 'blog/likes/people', 'a-visitor-who-leaves');
  const { page, warnings } = await openAdmin(t, { view: 'people' });
  const dialog = page.getByRole('dialog');
  await page.getByText('Nobody is blocked.').waitFor();
  await page.getByLabel('Address range, or visitor').fill('203.0.113.0/24');
  await page.getByLabel('Why').fill('A farm of clicks');
  await page.getByRole('button', { name: 'Block…' }).click();
  await dialog.getByText('are refused from now on', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Block' }).click();
  await page.getByRole('row', { name: '203.0.113.0/24' }).getByText('A farm of clicks').waitFor();
  assert.deepEqual((await owner('GET', 'blocks')).blocks, [{ range: '203.0.113.0/24', reason: 'A farm of clicks' }]);
  await page.getByRole('button', { name: 'Unblock… 203.0.113.0/24' }).click();
  await dialog.getByRole('button', { name: 'Unblock' }).click();
  await page.getByText('Nobody is blocked.').waitFor();
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-leaves');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await dialog.getByRole('button', { name: 'Forget' }).click();
  await page.locator('#said').filter({ hasText: '1 contribution taken back.' }).waitFor();
  assert.equal(await countOf(service.url, 'blog/likes/people'), 0);
  assert.deepEqual(warnings(), []);
});

test('axe finds nothing, light and dark, wide and on a phone', async (t) => {
  await likes('blog/likes/a-post-with-a-name-that-is-rather-long/and-has-segments', 25, 'machine');
  await owner('POST', 'blocks', { range: '198.51.100.0/24', reason: 'A farm of clicks' });
  t.after(() => owner('DELETE', 'blocks', { range: '198.51.100.0/24' }));
  /** @param {import('playwright-core').Page} page @param {string} what */
  const examine = async (page, what) => {
    await assertUsable(page, what);
    await page.screenshot({ path: join(shots, `admin-${what}.png`), fullPage: what.startsWith('overview') });
  };
  for (const { colorScheme, width, height } of SCREENS) {
    const options = { colorScheme, viewport: { width, height }, reducedMotion: /** @type {const} */ ('reduce') };
    const { open } = await newVisitor(t, browser, options);
    const page = await open(`${service.url}/admin/`);
    await page.getByLabel('Admin token').waitFor();
    await examine(page, `signin-${colorScheme}-${width}`);
    await page.getByLabel('Admin token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    for (const view of VIEWS) {
      await page.goto(`${service.url}/admin/#/${view}`);
      await page.locator({ '': '.top li .count', topics: 'tbody tr', spikes: '.spikes li', people: 'tbody tr', log: 'tbody tr' }[view] ?? '').first().waitFor();
      if (!view) await page.locator('.plot canvas').waitFor();
      await examine(page, `${view || 'overview'}-${colorScheme}-${width}`);
    }
    await page.goto(`${service.url}/admin/#/topics`);
    await page.getByRole('button', { name: /^Mend/ }).first().click();
    await page.getByRole('radio', { name: 'Reset' }).check();
    await examine(page, `mend-${colorScheme}-${width}`);
  }
  t.diagnostic(`screenshots in ${shots}`);
});

test('the page keeps its own policy and asks nobody else', async (t) => {
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

test('the files of the plot are what the library gives', async () => {
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
