/** Screenshots of every element: light, dark, right to left, in forced colours, and at 400 %. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, POST_ONLY, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { differs, STEADY } from './screenshot.js';
import { ADMIN_FLAG, assertChoice, assertLike, importPast } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser({ args: STEADY });

/**
 * DejaVu Sans comes with the browser's packages. Emoji fonts differ between machines, so the slots have signs of
 * DejaVu Sans.
 */
const STYLE =
  '<style>:root{color-scheme:light dark;font:16px/1.5 "DejaVu Sans"}body{margin:0}figure{box-sizing:border-box;width:440px;max-width:100%;margin:0;padding:3.2em 1em 2.8em}' +
  'p{margin:0 0 .8em}.big{font-size:2em}</style>';
const SIGNS = '<b slot="heart">♥</b><b slot="party">★</b><b slot="rocket">☀</b>';
const STAR = '<svg slot="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="2"><path d="M4 12h16M12 4v16"/></svg>';

/** HTML by element. NAME is the name of the mode, which gives each mode its own topics. */
const ELEMENTS = /** @type {Record<string, string>} */ ({
  like: `<p><tally-like page="post"></tally-like> <tally-like id="pressed" page="pressed"></tally-like> <tally-like page="post" label="Add">${STAR}</tally-like></p><p class="big"><tally-like page="pressed"></tally-like></p>`,
  exact: '<p><tally-like id="large" page="large" count="123456" live="off"></tally-like></p>',
  kept: '<p><tally-like id="kept" page="NAME/kept" kept="Offline: sent later"></tally-like></p>',
  claps: '<p><tally-claps page="post"></tally-claps> <tally-claps id="clapped" page="NAME"></tally-claps></p>',
  reactions: `<p><tally-reactions id="reacted" page="NAME" reactions="heart=Love it,party,rocket">${SIGNS}</tally-reactions></p>`,
  count: '<p>Pressed <tally-count page="post"></tally-count> times, <tally-count page="large" count="123456" live="off"></tally-count> in all.</p>',
  visitors: '<p>Visitors so far: <tally-visitors page="NAME"></tally-visitors></p>',
  readers: '<p>Here now: <tally-readers page="NAME"></tally-readers></p>',
  top: '<tally-top metric="wow" limit="3"><a href="/one" data-page="one">A title of its own</a></tally-top><p></p><tally-top metric="wow" limit="3" since="7d"></tally-top>',
  poll:
    '<tally-poll page="poll" label="Lunch?" options="Pizza,Sushi"></tally-poll><p></p><tally-poll page="poll" label="Lunch?" results="after" options="Pizza,Sushi"></tally-poll><p></p>' +
    '<tally-poll id="chosen" page="NAME/chosen" label="Lunch?" options="Pizza,Sushi,Salad"></tally-poll><p></p><tally-poll page="poll" label="Lunch" closed options="Pizza,Sushi"></tally-poll>',
  rating: '<p><tally-rating page="rating"></tally-rating></p><p><tally-rating id="rated" page="NAME/rated"></tally-rating></p><p><tally-rating page="rating" closed></tally-rating></p>',
  vote: '<p><tally-vote page="vote"></tally-vote> <tally-vote id="voted" page="NAME/voted" show="both"></tally-vote> <tally-vote page="vote" closed></tally-vote></p>',
  trend: '<p>Likes: <tally-trend page="trend" label="Likes"></tally-trend> <tally-trend page="nobody"></tally-trend></p><p><tally-trend page="trend" style="width:100%;height:4em;--tally-accent:teal"></tally-trend></p>',
  fallback: '<p><tally-like page="no//page">Liked by <b>readers</b></tally-like></p>',
});

const all = (/** @type {string} */ name) =>
  Object.entries(ELEMENTS).map(([element, body]) => `<figure id="of-${element}">${body.replaceAll('NAME', name)}</figure>`).join('');

/** @type {[string, string, import('playwright-core').BrowserContextOptions][]} */
const MODES = [
  ['light', 'lang="en"', { colorScheme: 'light' }],
  ['dark', 'lang="en"', { colorScheme: 'dark' }],
  ['rtl', 'lang="ar" dir="rtl"', { colorScheme: 'light' }],
  ['forced', 'lang="en"', { forcedColors: 'active', colorScheme: 'dark' }],
  // A window of 1280 by 1024 pixels at 400 %.
  ['zoomed', 'lang="en"', { colorScheme: 'light', viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 }],
];

test('screenshots: light, dark, right to left, forced colours, zoomed to 400 %', async (t) => {
  const site = await startSite(
    t,
    Object.fromEntries(MODES.map(([name, html]) => [`/${name}`, { html, head: `<meta name="viewport" content="width=device-width">${STYLE}`, body: all(name) }])),
    { flags: ['--rate-limit=off', '--topic-limit=off', ADMIN_FLAG] },
  );
  const press = async (/** @type {string} */ topic, /** @type {number} */ times) => {
    for (let i = 0; i < times; i++) await assertLike(site.service.url, topic, `visitor-${i}`);
  };
  for (const [topic, times] of /** @type {[string, number][]} */ ([['likes/post', 11], ['likes/trend', 12], ['wow/one', 3], ['wow/two/parts', 2], ['wow/three', 1]])) await press(`default/${topic}`, times);
  await importPast(site.service.url, 'default/likes/trend', Array.from({ length: 30 }, (_, day) => Math.round(day / 3 + 2 * Math.sin(day / 4))));
  await assertLike(site.service.url, 'default/claps/post', 'somebody-else', 48);
  for (const [topic, ...options] of /** @type {[string, ...number[]][]} */ ([['poll/poll', 1, 1, 2], ['rating/rating', 5, 4, 2], ['votes/vote', 1, 1, 2]])) {
    for (const [i, option] of options.entries()) await assertChoice(site.service.url, `default/${topic}`, `visitor-${i}`, option);
  }
  for (const query of ['', '?since=7d']) {
    await eventually(async () => assert.equal((await (await fetch(`${site.service.url}/v1/top/default/wow${query}`)).json()).top.length, 3), 12_000);
  }
  /** @type {(string | undefined)[]} */
  const wrong = [];
  for (const [name, , options] of MODES) {
    const { context } = await newVisitor(t, browser, { viewport: { width: 440, height: 3600 }, reducedMotion: 'reduce', ...options });
    await context.addInitScript(POST_ONLY);
    await context.route('**/kept', (route) => route.abort());
    const page = await context.newPage();
    await page.goto(`${site.url}/${name}`);
    const [named, other] = await page.evaluate(() => {
      const drawing = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(1, 1).getContext('2d'));
      return ['"DejaVu Sans",monospace', 'monospace'].map((font) => ((drawing.font = `16px ${font}`), drawing.measureText('mill').width));
    });
    assert.notEqual(named, other, 'DejaVu Sans is missing: apt-get install fonts-dejavu-core');
    const shown = (/** @type {string} */ selector) => page.locator(`${selector} [part=number]`).first();
    await page.locator('#of-trend').scrollIntoViewIfNeeded();
    await page.locator('tally-trend [part=trend]').nth(2).waitFor();
    await page.locator('#of-top').scrollIntoViewIfNeeded();
    await eventually(async () => assert.equal(await page.locator('tally-top ol[part=list] li').count(), 6), 12_000);
    // By keyboard: in forced colours Chromium may still paint a hover that has ended.
    await page.locator('#clapped button').press('Enter');
    await page.locator('#clapped button').press('Enter');
    await page.locator('#reacted button').first().press('Enter');
    await page.locator('#pressed button').press('Enter');
    await eventually(async () => assert.deepEqual(await Promise.all(['#of-like tally-like', '#of-visitors tally-visitors', '#of-readers tally-readers'].map(async (selector) => /\d/.test(await shown(selector).innerText()))), [true, true, true]));
    await page.locator('#chosen input').nth(1).press('Space');
    await page.locator('#rated input').nth(2).press('Space');
    await page.locator('#voted button').first().press('Enter');
    await eventually(async () => assert.deepEqual(await page.locator('#chosen .mine, #rated .mine, #voted [aria-pressed=true]').count(), 3));
    // The bubble of the claps is hidden again.
    await eventually(async () => assert.equal(await page.locator('#clapped [part=own]').evaluate((own) => getComputedStyle(own).opacity), '0'));
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${name}: wider than its window`);
    await page.locator('#kept button').press('Enter');
    await eventually(async () => assert.equal(await page.locator('#kept [part=status]').isVisible(), true));
    // Tab to the button with the shortened number: its focus ring and full number show.
    await page.locator('#of-like button').last().focus();
    await page.keyboard.press('Tab');
    await eventually(async () => assert.deepEqual(await Promise.all([page.locator('button:hover').count(), page.locator('#large [part=exact]').isVisible()]), [0, true]));
    // One picture for all elements in these modes.
    const whole = name === 'forced' || name === 'zoomed';
    if (whole) wrong.push(await differs(page, page.locator('body'), name));
    else for (const element of Object.keys(ELEMENTS)) wrong.push(await differs(page, page.locator(element === 'kept' ? '#kept [part=status]' : `#of-${element}`), `${element}-${name}`));
    await context.close();
  }
  assert.deepEqual(wrong.filter(Boolean), []);
});
