/** The topic of an element without a page attribute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

/** The key of each path, with the head of its page. */
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
  const { open, warnings } = await newVisitor(t, browser);
  for (const [path, , key] of CASES) {
    // Two addresses are the home page.
    const topic = `default/likes/${key.split('/').map(encodeURIComponent).join('/')}`;
    const before = await countOf(site.service.url, topic);
    await assertLike(site.service.url, topic, `somebody-${path.length}`);
    const page = await open(site.url + path);
    await shows(page, 'tally-like', before + 1);
    await page.close();
  }
  assert.deepEqual(warnings, []);
});

test('the script’s address names the site, and an element can name another one', async (t) => {
  const body = '<tally-like page="post"></tally-like><tally-like id="other" site="default" page="post"></tally-like>';
  const pages = { '/': { query: '?site=blog', body } };
  const site = await startSite(t, pages, { flags: ['--site=blog=*'] });
  for (let i = 0; i < 2; i++) await assertLike(site.service.url, 'blog/likes/post', `visitor-${i}`);
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-like', 2);
  await shows(page, '#other', 0);
  await page.locator('tally-like button').first().click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'blog/likes/post'), 3));
  assert.equal(await countOf(site.service.url, 'default/likes/post'), 0);
  assert.deepEqual(warnings, []);
});
