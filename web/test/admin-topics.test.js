/** The owner's dashboard: the list of topics, their editing, and spikes. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { assertUsable } from './accessibility.js';
import { useDashboard } from './dashboard.js';
import { assertChoice, assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const dashboard = useDashboard();

test('topics: search, pages, a failed page, live counts', async (t) => {
  const seeds = Array.from({ length: 120 }, (_, i) => ({ topic: `blog/claps/paged/${String(i).padStart(3, '0')}`, seed: i }));
  await dashboard.call('POST', 'seeds', { seeds });
  const { page, warnings } = await dashboard.open(t, { view: 'topics' });
  const search = page.getByRole('search');
  await search.getByLabel('Site').fill('blog');
  await search.getByLabel('Metric').fill('claps');
  await search.getByLabel('Key starts with').fill('paged/');
  await page.keyboard.press('Enter');
  await page.getByLabel('Sort by').selectOption('count');
  await eventually(async () => assert.equal(await page.getByRole('rowheader').first().innerText(), 'blog/claps/paged/119'));
  assert.equal(await page.getByRole('rowheader').count(), 50);
  // After a failed call the rest of the list can be loaded again.
  await page.route('**/admin/v1/topics?*', (route) => route.abort(), { times: 1 });
  await page.getByRole('button', { name: 'More topics' }).click();
  await page.getByText('Cannot reach the service').waitFor();
  await page.getByRole('button', { name: 'More topics' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 100));
  await page.getByRole('button', { name: 'More topics' }).click();
  await eventually(async () => assert.equal(await page.getByRole('rowheader').count(), 120));
  assert.equal(await page.getByRole('button', { name: 'More topics' }).isVisible(), false);
  await assertLike(dashboard.url, 'blog/claps/paged/119', 'some-reader', 5);
  await eventually(async () => assert.equal(await page.getByRole('row', { name: 'blog/claps/paged/119' }).locator('.count').innerText(), '124'));
  await page.goBack();
  await eventually(async () => assert.equal(await page.getByLabel('Sort by').inputValue(), 'newest'));
  assert.equal(await page.getByLabel('Key starts with').inputValue(), 'paged/');
  assert.deepEqual(warnings().filter((text) => !/ERR_FAILED/.test(text)), []);
});

test('topics: export, delete unused', async (t) => {
  await dashboard.call('POST', 'seeds', { seeds: [{ topic: 'default/wow/untouched', seed: 4 }] });
  const seeded = Date.now();
  const { page, warnings } = await dashboard.open(t, { view: 'topics?site=default&metric=wow' });
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
  assert.match(await readFile(await download.path(), 'utf8'), /default\/wow\/untouched,4/);
  await page.getByText('Delete unused topics').click();
  const form = page.locator('details form');
  await form.getByLabel('Site').fill('default');
  await form.getByLabel('Metric').fill('wow');
  const review = form.getByRole('button', { name: 'Review…' });
  await form.getByLabel('No change since').fill('2020-01-01T00:00:00');
  await review.click();
  await page.locator('#toast').filter({ hasText: 'No unused topics found.' }).waitFor();
  // The field has no fractions of a second.
  const dialog = page.getByRole('dialog', { name: 'Delete 1 topic?' });
  await eventually(() => assert.ok(Date.now() - seeded > 1000));
  await form.getByLabel('No change since').fill(await page.evaluate(() => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19)));
  await review.click();
  await dialog.getByText('default/wow/untouched: 4').waitFor();
  await dialog.getByRole('button', { name: 'Delete 1' }).click();
  await page.locator('#toast').filter({ hasText: '1 topic deleted.' }).waitFor();
  await page.getByText('No topics found.').waitFor();
  assert.deepEqual(warnings(), []);
});

test('topics: a poll shows bars, and its numbers are edited as a list', async (t) => {
  for (const [visitor, option] of /** @type {[string, number][]} */ ([['visitor-a', 1], ['visitor-b', 3], ['visitor-c', 3]])) await assertChoice(dashboard.url, 'blog/poll/lunch', visitor, option);
  const { page, warnings } = await dashboard.open(t, { view: 'topics?site=blog&metric=poll' });
  const row = page.getByRole('row').filter({ hasText: 'blog/poll/lunch' });
  const options = () => row.locator('.options li').allInnerTexts();
  const expect = (/** @type {string[]} */ texts) => eventually(async () => assert.deepEqual((await options()).map((text) => text.replace(/\s+/g, ' ')), texts));
  await expect(['1 1', '2 0', '3 2']);
  await assertChoice(dashboard.url, 'blog/poll/lunch', 'visitor-d', 2);
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

test('edit: every action by keyboard, each described first', async (t) => {
  await dashboard.like('blog/likes/edited', 3);
  await dashboard.like('blog/likes/other', 2, 'another');
  const { page, warnings } = await dashboard.open(t, { view: 'topics?site=blog&metric=likes&prefix=edited' });
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
  assert.equal(await countOf(dashboard.url, 'blog/likes/edited'), 3, 'cancelling changes nothing');
  await choose('blog/likes/edited', 'Set the count');
  await dialog.getByLabel('Count shown on pages').fill('40');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'blog/likes/edited: the count is now 40.' }).waitFor();
  assert.equal(await countOf(dashboard.url, 'blog/likes/edited'), 40);
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

  await page.goto(`${dashboard.url}/admin/#/topics?site=blog&metric=likes&prefix=edited-well`);
  await choose('blog/likes/edited-well', 'Merge into another topic');
  await dialog.getByLabel(/^Other topic/).fill('blog/likes/other');
  await page.keyboard.press('Enter');
  await toast.filter({ hasText: 'into blog/likes/other, count 52.' }).waitFor();

  await page.goto(`${dashboard.url}/admin/#/topics?site=blog&metric=likes&prefix=other`);
  await choose('blog/likes/other', 'Reset');
  await dialog.getByText('Open pages show 0.', { exact: false }).waitFor();
  await dialog.getByRole('button', { name: 'Reset to 0' }).press('Enter');
  await toast.filter({ hasText: 'blog/likes/other: the count is now 0.' }).waitFor();
  assert.equal(await countOf(dashboard.url, 'blog/likes/other'), 0);
  await choose('blog/likes/other', 'Delete');
  await dialog.getByRole('button', { name: 'Delete' }).press('Enter');
  await toast.filter({ hasText: 'Deleted blog/likes/other.' }).waitFor();

  await dashboard.call('POST', 'seeds', { seeds: [{ topic: 'blog/likes/seeded', seed: 12345 }] });
  await page.getByRole('link', { name: 'Audit log' }).click();
  await page.getByRole('cell', { name: 'count 0 → 12,345, seed 0 → 12,345' }).waitFor();
  for (const action of ['set', 'seed', 'rename', 'reset', 'delete']) await page.getByRole('cell', { name: action, exact: true }).first().waitFor();
  assert.deepEqual(warnings().filter((text) => !/409|400|status of 4/.test(text)), []);
});

test('spikes: review and revert; open pages follow', async (t) => {
  await dashboard.like('blog/likes/spiked', 40, 'machine');
  const { page, warnings } = await dashboard.open(t, { view: 'spikes' });
  const watching = await dashboard.open(t, { view: 'topics?site=blog&metric=likes&prefix=spiked' });
  const shown = watching.page.getByRole('row', { name: 'blog/likes/spiked' }).locator('.count');
  await eventually(async () => assert.equal(await shown.innerText(), '40'));
  const card = page.getByRole('listitem').filter({ hasText: 'blog/likes/spiked' });
  await card.getByText(/^40 contributions from 1 network, .*\. Usual in an hour: 0 contributions to this topic\.$/).waitFor();
  await card.getByRole('button', { name: /Review and revert/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Revert 40 contributions?' });
  await dialog.getByText('From 1 network to 1 topic', { exact: false }).waitFor();
  assert.equal(await countOf(dashboard.url, 'blog/likes/spiked'), 40, 'a preview changes nothing');
  await dialog.getByRole('button', { name: 'Revert 40' }).click();
  await page.locator('#toast').filter({ hasText: '40 contributions reverted.' }).waitFor();
  await eventually(async () => assert.equal(await shown.innerText(), '0'));
  assert.equal(await countOf(dashboard.url, 'blog/likes/spiked'), 0);
  await card.waitFor({ state: 'detached' });
  // A spike that another owner reverts is listed no longer either.
  await dashboard.like('blog/likes/reverted', 40, 'machine');
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  const other = page.getByRole('listitem').filter({ hasText: 'blog/likes/reverted' });
  await other.waitFor();
  await dashboard.call('POST', 'undo', { topics: ['blog/likes/reverted'], from: new Date(Date.now() - 3_600_000).toISOString() });
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await other.waitFor({ state: 'detached' });
  assert.deepEqual(warnings(), []);
});

test('spikes: the error of an older search does not replace the answer of a newer one', async (t) => {
  const { page } = await dashboard.open(t, { view: 'spikes' });
  let fail = () => {};
  const asked = new Promise((resolve) =>
    page.route(/spikes\?since=1h$/, async (route) => {
      await new Promise((release) => resolve((fail = () => release(undefined))));
      await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"The old error."}' }).catch(() => {}); // the page may have cancelled it
    }),
  );
  await page.getByLabel('Period').selectOption('1h');
  await asked;
  const newer = page.waitForResponse(/spikes\?since=168h$/);
  await page.getByLabel('Period').selectOption('168h');
  await (await newer).finished();
  fail();
  await page.waitForTimeout(300);
  assert.equal(await page.getByText('The old error.').count(), 0);
});
