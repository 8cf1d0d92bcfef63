/** Polls, ratings and votes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, POST_ONLY, remembered, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertUsableInAllColours } from './accessibility.js';
import { assertChoice } from './process.js';
import { eventually } from './wait.js';

/** @typedef {import('playwright-core').Page} Page */

const browser = useBrowser();

const POLL = '<tally-poll page="lunch" label="Lunch?" options="Pizza,Sushi,Salad"><p>Not loaded</p></tally-poll>';

/**
 * @param {string} url of the service
 * @param {string} topic
 * @returns {Promise<number[]>}
 */
const optionsOf = async (url, topic) => (await (await fetch(`${url}/v1/${topic}`)).json()).options;

/** @param {Page} page */
const results = (page, selector = 'tally-poll') => page.locator(`${selector} [part=result]`).allInnerTexts();

/** @param {Page} page @param {string[]} expected */
const showResults = (page, expected, selector = 'tally-poll') => eventually(async () => assert.deepEqual(await results(page, selector), expected));

/** @param {Page} page */
const radio = (page, /** @type {string} */ name) => page.getByRole('radio', { name, exact: true });

test('poll: a choice shows at once, is changed and withdrawn, and every page follows', async (t) => {
  const site = await startSite(t, { '/': { body: POLL } });
  const { open, warnings } = await newVisitor(t, browser);
  const [page, other] = [await open(site.url), await (await newVisitor(t, browser)).open(site.url)];
  await showResults(page, ['0% · 0', '0% · 0', '0% · 0']);
  await assertChoice(site.service.url, 'default/poll/lunch', 'somebody-else', 1);
  await showResults(page, ['100% · 1', '0% · 0', '0% · 0']);
  await page.evaluate(() => {
    const events = /** @type {any} */ (window).events = /** @type {any[]} */ ([]);
    document.addEventListener('tally-change', (event) => events.push(/** @type {CustomEvent} */ (event).detail));
  });
  await radio(page, 'Sushi').click();
  assert.deepEqual(await results(page), ['50% · 1', '50% · 1', '0% · 0'], 'before the service answers');
  assert.equal(await page.locator('tally-poll [part=total]').innerText(), 'Votes: 2');
  await showResults(other, ['50% · 1', '50% · 1', '0% · 0']);
  await radio(page, 'Salad').click();
  assert.deepEqual(await results(page), ['50% · 1', '0% · 0', '50% · 1'], 'both numbers move');
  await showResults(other, ['50% · 1', '0% · 0', '50% · 1']);
  assert.deepEqual((await optionsOf(site.service.url, 'default/poll/lunch')).slice(0, 3), [1, 0, 1]);
  const again = await open(site.url);
  await eventually(async () => assert.equal(await radio(again, 'Salad').isChecked(), true));
  await page.getByRole('button', { name: 'Remove my vote' }).click();
  await showResults(page, ['100% · 1', '0% · 0', '0% · 0']);
  await showResults(again, ['100% · 1', '0% · 0', '0% · 0']);
  // Others may change options and leave the count.
  await assertChoice(site.service.url, 'default/poll/lunch', 'somebody-else', 3);
  await showResults(page, ['0% · 0', '0% · 0', '100% · 1']);
  assert.equal(await page.locator('tally-poll :checked').count(), 0);
  await eventually(async () => assert.equal(await again.locator('tally-poll :checked').count(), 0));
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).events.map((/** @type {any} */ { count, mine, source, options }) => [count, mine, source, options.slice(0, 3).length])), [[2, 2, 'visitor', 3], [2, 3, 'visitor', 3], [1, 0, 'visitor', 3], [1, 0, 'server', 3]]);
  assert.deepEqual(warnings, []);
});

test('poll: arrow keys send nothing; Enter, Space and the button do', async (t) => {
  const site = await startSite(t, { '/': { body: POLL } });
  const { open, context } = await newVisitor(t, browser);
  /** @type {number[]} */
  const sent = [];
  await context.routeWebSocket('**/v1/ws', (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const { assert, option } = JSON.parse(String(message));
      if (assert) sent.push(option);
      server.send(message);
    });
  });
  const page = await open(site.url);
  await showResults(page, ['0% · 0', '0% · 0', '0% · 0']);
  const send = page.getByRole('button', { name: 'Vote', exact: true });
  await radio(page, 'Pizza').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await send.waitFor();
  await assertChoice(site.service.url, 'default/poll/lunch', 'somebody-else', 1);
  await showResults(page, ['100% · 1', '0% · 0', '0% · 0']);
  assert.equal(await radio(page, 'Salad').isChecked(), true, 'a frame does not undo the selection');
  assert.deepEqual(sent, []);
  await page.keyboard.press('Enter');
  await showResults(page, ['50% · 1', '0% · 0', '50% · 1']);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Space');
  await showResults(page, ['50% · 1', '50% · 1', '0% · 0']);
  await eventually(() => assert.deepEqual(sent, [3, 2])); // else the next choice replaces it
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await showResults(page, ['100% · 2', '0% · 0', '0% · 0']);
  await eventually(() => assert.deepEqual(sent, [3, 2, 1]));
  assert.equal(await send.isVisible(), false);
});

test('poll: a refused choice is taken back; one made offline is sent as an option by the next page', async (t) => {
  const site = await startSite(t, { '/': { body: POLL } });
  const { open, context } = await newVisitor(t, browser);
  await context.addInitScript(POST_ONLY);
  const page = await open(site.url);
  await showResults(page, ['0% · 0', '0% · 0', '0% · 0']);
  await context.route('**/v1/default/poll/*', (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"code":"blocked","detail":"No."}' }));
  await radio(page, 'Sushi').click();
  await eventually(async () => assert.equal(await page.locator('tally-poll [role=status]').innerText(), 'Not saved'));
  assert.deepEqual(await results(page), ['0% · 0', '0% · 0', '0% · 0']);
  assert.equal(await page.locator('tally-poll :checked').count(), 0);
  await context.unroute('**/v1/default/poll/*');
  await context.route('**/v1/default/poll/*', (route) => route.abort());
  await radio(page, 'Sushi').click();
  await eventually(async () => assert.equal(await page.locator('tally-poll [role=status]').innerText(), 'Will be sent later'));
  assert.deepEqual((await remembered(page)).wish?.['default/poll/lunch'].filter((_, i) => i !== 1), [2, true]);
  await page.close();
  await context.unroute('**/v1/default/poll/*');
  site.pages['/other'] = { body: '<tally-like page="post"></tally-like>' };
  await open(`${site.url}/other`);
  await eventually(async () => assert.deepEqual((await optionsOf(site.service.url, 'default/poll/lunch')).slice(0, 3), [0, 1, 0]));
});

test('poll: results after a choice, closed polls, seeded numbers, options of the language', async (t) => {
  const body =
    '<tally-poll id="after" page="after" results="after" options="Tabs,Spaces"></tally-poll>' +
    '<tally-poll id="closed" page="closed" closed options="Yes,No"></tally-poll>' +
    '<tally-poll id="seeded" page="seeded" count="3,1" live="off" options="Ja,Nein" lang="de" total="Stimmen"></tally-poll>' +
    '<tally-poll id="plain" page="plain"></tally-poll>';
  const site = await startSite(t, { '/': { body } });
  for (const [visitor, option] of /** @type {[string, number][]} */ ([['visitor-a', 1], ['visitor-b', 2], ['visitor-c', 2], ['visitor-d', 9]])) {
    for (const key of ['after', 'closed']) await assertChoice(site.service.url, `default/poll/${key}`, visitor, option);
  }
  const { open, context } = await newVisitor(t, browser);
  const page = await open(site.url);
  await showResults(page, ['33% · 1', '67% · 2'], '#closed');
  assert.equal(await page.locator('#closed [part=total]').innerText(), 'Votes: 3', 'of the options shown');
  assert.equal(await page.locator('#closed input:visible, #closed button:visible').count(), 0);
  assert.deepEqual(await results(page, '#after'), ['', '']);
  await page.locator('#after input').first().click();
  await showResults(page, ['50% · 2', '50% · 2'], '#after');
  await eventually(async () => assert.equal(await page.locator('#plain input').count(), 10, 'all options of the metric'));
  await context.routeWebSocket('**/v1/ws', () => {});
  const seeded = await open(site.url);
  await showResults(seeded, ['75\u00a0% · 3', '25\u00a0% · 1'], '#seeded');
  assert.equal(await seeded.locator('#seeded [part=total]').innerText(), 'Stimmen: 4');
});

test('rating: average in halves and the page’s language, own stars, closed', async (t) => {
  const site = await startSite(t, { '/': { html: 'lang="de"', body: '<tally-rating page="post" withdraw="Zurücknehmen"></tally-rating>' } });
  for (const [visitor, option] of /** @type {[string, number][]} */ ([['visitor-a', 5], ['visitor-b', 4], ['visitor-c', 2]])) await assertChoice(site.service.url, 'default/rating/post', visitor, option);
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  const stars = () => page.locator('tally-rating [part=star]').evaluateAll((all) => all.map((star) => star.className.trim()));
  await eventually(async () => assert.equal(await page.locator('tally-rating [part=average]').innerText(), '3,7'));
  assert.deepEqual(await stars(), ['', '', '', 'half', 'none']);
  await page.getByRole('radio', { name: '5 stars' }).check({ force: true });
  assert.equal(await page.locator('tally-rating [part=average]').innerText(), '4,0');
  assert.equal(await page.locator('tally-rating [part=total]').innerText(), 'Votes: 4');
  assert.deepEqual(await stars(), ['', '', '', '', 'none mine']);
  await eventually(async () => assert.deepEqual(await optionsOf(site.service.url, 'default/rating/post'), [0, 1, 0, 1, 2]));
  await page.getByRole('button', { name: 'Zurücknehmen' }).click();
  await eventually(async () => assert.deepEqual(await optionsOf(site.service.url, 'default/rating/post'), [0, 1, 0, 1, 1]));
  await page.evaluate(() => document.querySelector('tally-rating')?.setAttribute('closed', ''));
  await eventually(async () => assert.equal(await page.locator('tally-rating input:enabled').count(), 0));
});

test('vote: one of two switches, the score, both numbers; pressing again withdraws', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-vote id="score" page="post"></tally-vote><tally-vote id="both" page="post" show="both" options="Helpful,Not helpful"></tally-vote>' } });
  await assertChoice(site.service.url, 'default/votes/post', 'visitor-a', 2);
  await assertChoice(site.service.url, 'default/votes/post', 'visitor-b', 2);
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  const score = () => page.locator('#score [part=score]').innerText();
  const both = () => page.locator('#both [part=number]').allInnerTexts();
  await eventually(async () => assert.equal(await score(), '-2'));
  const [up, down] = [page.getByRole('button', { name: 'Helpful', exact: true }), page.getByRole('button', { name: 'Down' })];
  await up.click();
  assert.deepEqual([await score(), await both()], ['-1', ['1', '2']]);
  await down.click();
  assert.deepEqual([await score(), await both()], ['-3', ['0', '3']]);
  assert.deepEqual([await down.getAttribute('aria-pressed'), await up.getAttribute('aria-pressed')], ['true', 'false']);
  await eventually(async () => assert.deepEqual(await optionsOf(site.service.url, 'default/votes/post'), [0, 3]));
  await down.click();
  await eventually(async () => assert.deepEqual(await optionsOf(site.service.url, 'default/votes/post'), [0, 2]));
  assert.equal(await score(), '-2');
});

test('choices: one more script, on first use, also for an element added later; without it the children show', async (t) => {
  const site = await startSite(t, { '/': { body: `<tally-like page="post"></tally-like><div style="height:3000px"></div>${POLL}` }, '/empty': { body: '<tally-like page="post"></tally-like>' } });
  const { open, context } = await newVisitor(t, browser);
  /** @type {string[]} */
  const loaded = [];
  context.on('request', (request) => request.url().includes('/tally-') && loaded.push(request.url()));
  const page = await open(site.url);
  await page.locator('tally-like [part=number]').waitFor();
  assert.equal(loaded.length, 0, 'nothing while the poll is far away');
  assert.equal(await page.getByText('Not loaded').count(), 1);
  await page.locator('tally-poll').scrollIntoViewIfNeeded();
  await radio(page, 'Sushi').waitFor();
  assert.equal(await page.getByText('Not loaded').isVisible(), false);
  assert.deepEqual(loaded.map((url) => url.startsWith(`${site.api}/tally-`)), [true]);
  const later = await open(`${site.url}/empty`);
  await later.evaluate((poll) => document.body.insertAdjacentHTML('beforeend', poll), POLL);
  await radio(later, 'Sushi').waitFor();
  // A metric that does not exist, and a script that cannot be loaded.
  await later.evaluate(() => document.querySelector('tally-poll')?.setAttribute('metric', 'nowhere'));
  await eventually(async () => assert.equal(await later.getByText('Not loaded').isVisible(), true));
  await context.route('**/tally-*.js', (route) => route.abort());
  const without = await open(`${site.url}/empty`);
  await without.evaluate((poll) => document.body.insertAdjacentHTML('beforeend', poll), POLL);
  await eventually(async () => assert.equal(await without.getByText('Not loaded').isVisible(), true));
});

test('axe finds no violation in polls, ratings and votes: light, dark, right to left, forced colours', async (t) => {
  const body =
    '<main><h1>A page</h1><tally-poll page="a" label="Lunch?" options="Pizza,Sushi"></tally-poll><tally-poll page="a" label="Closed" closed options="Pizza,Sushi"></tally-poll>' +
    '<p><tally-rating page="a"></tally-rating> <tally-rating page="b" closed></tally-rating></p><p><tally-vote page="a"></tally-vote> <tally-vote page="b" show="both"></tally-vote></p></main>';
  const site = await startSite(t, { '/': { body, head: '<meta name="color-scheme" content="light dark">' }, '/rtl': { body, html: 'lang="ar" dir="rtl"' } });
  for (const [path, width] of /** @type {[string, number][]} */ ([['/', 1280], ['/rtl', 320]])) {
    const { open } = await newVisitor(t, browser, { reducedMotion: 'reduce', viewport: { width, height: 640 } });
    const page = await open(site.url + path);
    await page.locator('tally-poll input').first().click();
    await page.locator('tally-rating input').nth(2).check({ force: true });
    await page.locator('tally-vote button').first().click();
    await eventually(async () => assert.equal(await page.locator('tally-poll .mine').count(), 2));
    await assertUsableInAllColours(page, path);
  }
});
