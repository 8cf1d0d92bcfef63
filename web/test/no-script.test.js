/** Elements without JavaScript: a form that posts and returns, or the number as an image. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

test('without JavaScript each element is a form or a badge', async (t) => {
  const pages = { '/post': { body: '' } };
  const site = await startSite(t, pages);
  /** As in the README. */
  const form = (/** @type {string} */ topic, amount = 1) =>
    `<form method="post" action="${site.api}/v1/${topic}"><input type="hidden" name="amount" value="${amount}"><input type="hidden" name="return" value="${site.url}/post"><button>${topic}</button></form>`;
  const badge = (/** @type {string} */ topic, query = '') => `<img src="${site.api}/badge/${topic}.svg${query}" alt="${topic}${query}">`;
  const forms = ['likes', 'claps', 'heart', 'party'].map((metric) => `default/${metric}/post`);
  const badges = ['likes/post', 'visitors/site', 'readers/site'].map((rest) => `default/${rest}`);
  pages['/post'].body =
    `<tally-like>${form(forms[0])}</tally-like><tally-claps>${form(forms[1], 10)}</tally-claps><tally-reactions>${form(forms[2])}${form(forms[3])}</tally-reactions>` +
    `<tally-count>${badge(badges[0])}</tally-count><tally-visitors>${badge(badges[1])}</tally-visitors><tally-readers>${badge(badges[2])}</tally-readers>` +
    `<tally-trend>${badge(badges[0], '?show=trend')}</tally-trend>` +
    '<tally-top><ol><li><a href="/post">A post</a></li></ol></tally-top>';
  await assertLike(site.service.url, 'default/visitors/site', 'somebody-else');
  const { open } = await newVisitor(t, browser, { javaScriptEnabled: false });
  const page = await open(`${site.url}/post`);
  for (const topic of forms) {
    await page.getByRole('button', { name: topic }).click();
    await page.waitForURL(`${site.url}/post`);
    await eventually(async () => assert.equal(await countOf(site.service.url, topic), topic.includes('claps') ? 10 : 1));
  }
  for (const topic of [...badges, `${badges[0]}?show=trend`]) {
    const picture = page.getByRole('img', { name: topic, exact: true });
    assert.ok(Number((await picture.boundingBox())?.width) > 20, `${topic} is not an image`);
  }
  assert.match(await (await fetch(`${site.service.url}/badge/default/visitors/site.svg`)).text(), />1</);
  assert.equal(await page.getByRole('link', { name: 'A post' }).isVisible(), true);
});
