/** The browser's storage with two services on one origin, and entries of former releases. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, press, pressed, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const HEART = '<tally-like page="post"></tally-like>';

const browser = useBrowser();

/**
 * Starts a site whose page / uses one service, and /other another one.
 * @param {import('node:test').TestContext} t
 */
async function startTwo(t) {
  const pages = { '/': { body: HEART }, '/other': { body: HEART, tag: '' }, '/empty': {} };
  const site = await startSite(t, pages);
  const other = await startService({ flags: [`--allow-origin=${site.url}`] });
  t.after(() => other.stop());
  pages['/other'].tag = `<script type="module" src="http://other.example:${other.port}/tally.js"></script>`;
  return { site, other };
}

test('likes of two services on one origin are separate', async (t) => {
  const { site, other } = await startTwo(t);
  const { open, warnings } = await newVisitor(t, browser);
  const here = await open(site.url);
  await shows(here, 'tally-like', 0);
  await press(here, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  const there = await open(`${site.url}/other`);
  await shows(there, 'tally-like', 0);
  assert.equal(await pressed(there, 'tally-like'), false);
  for (const count of [1, 0]) {
    await press(there, 'tally-like');
    await eventually(async () => assert.equal(await countOf(other.url, TOPIC), count));
    await shows(there, 'tally-like', count);
    assert.equal(await pressed(here, 'tally-like'), true);
  }
  await here.reload();
  await shows(here, 'tally-like', 1);
  assert.equal(await pressed(here, 'tally-like'), true);
  assert.equal(await countOf(site.service.url, TOPIC), 1);
  assert.deepEqual(warnings, []);
});

test('a former release’s entry is read, and its unsent presses go to one service', async (t) => {
  const { site, other } = await startTwo(t);
  const { open } = await newVisitor(t, browser);
  const visitor = 'somebody-of-before';
  await assertLike(site.service.url, TOPIC, visitor);
  const empty = await open(`${site.url}/empty`);
  const entry = { visitor, mine: { [TOPIC]: 1 }, wish: { 'default/likes/unsent': [1, Date.now()] } };
  await empty.evaluate((entry) => localStorage.setItem('tallycast:v1', JSON.stringify(entry)), entry);
  const here = await open(site.url);
  await shows(here, 'tally-like', 1);
  assert.equal(await pressed(here, 'tally-like'), true);
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/likes/unsent'), 1));
  const there = await open(`${site.url}/other`);
  await shows(there, 'tally-like', 0);
  assert.equal(await countOf(other.url, 'default/likes/unsent'), 0);
  // The visitor's id is the same: the like is taken back.
  await press(here, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 0));
  const entries = await here.evaluate(() => ({ ...localStorage }));
  assert.equal(JSON.parse(entries[`tallycast:v1:${site.api}/`]).visitor, visitor);
  // Scripts of former releases still read the shared entry.
  assert.deepEqual(JSON.parse(entries['tallycast:v1']), { ...entry, wish: {} });
});
