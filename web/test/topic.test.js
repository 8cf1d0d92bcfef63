/** Which thing an element counts, where nobody says so. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, newVisitor, shows } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** What each address is called, by its path and the head that its page has. */
const CASES = /** @type {[path: string, head: string, key: string][]} */ ([
  ['/', '', 'index'],
  ['/index.html', '', 'index'],
  ['/posts/one/', '', 'posts/one'],
  ['/posts/two/index.html?utm=1#top', '', 'posts/two'],
  ['/posts/gr%C3%BC%C3%9Fe', '', 'posts/gr\u00fc\u00dfe'],
  ['/moved', '<link rel="canonical" href="/posts/three/?b=2&amp;a=1#x">', 'posts/three?a=1&b=2'],
]);

test('the topic comes from the page’s address: canonical link, path, no trailing slash, index', async (t) => {
  const pages = Object.fromEntries(CASES.map(([path, head]) => [new URL(path, 'http://blog.example').pathname, { head, body: '<tally-like></tally-like>' }]));
  const site = await startSite(t, pages);
  const { open, complaints } = await newVisitor(t, browser);
  for (const [path, , key] of CASES) {
    // The home page is met twice.
    const topic = `default/likes/${key.split('/').map(encodeURIComponent).join('/')}`;
    const before = await countOf(site.service.url, topic);
    await assertLike(site.service.url, topic, `somebody-${path.length}`);
    const page = await open(site.url + path);
    await shows(page, 'tally-like', before + 1);
    await page.close();
  }
  assert.deepEqual(complaints, []);
});

test('the script’s address names the site, and an element can name another one', async (t) => {
  const body = '<tally-like page="post"></tally-like><tally-like id="other" site="default" page="post"></tally-like>';
  const pages = { '/': { query: '?site=blog', body } };
  const site = await startSite(t, pages, { flags: ['--site=blog=*'] });
  for (let i = 0; i < 2; i++) await assertLike(site.service.url, 'blog/likes/post', `visitor-${i}`);
  const { open, complaints } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-like', 2);
  await shows(page, '#other', 0);
  await page.locator('tally-like button').first().click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'blog/likes/post'), 3));
  assert.equal(await countOf(site.service.url, 'default/likes/post'), 0);
  assert.deepEqual(complaints, []);
});
