import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, numberOf, pauseClock, PERSON, remembered, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, adminRequest, assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const browser = useBrowser();

/** @param {import('playwright-core').Page} page */
const stored = (page) => page.evaluate(() => ({ ...localStorage }));

test('claps: a held button repeats, and a pause sends all claps at once', async (t) => {
  const site = await startSite(t, { '/post': { body: '<p style="margin:4em"><tally-claps page="post"></tally-claps></p>' } });
  const { open, context, warnings } = await newVisitor(t, browser);
  await context.clock.install();
  const page = await open(`${site.url}/post`);
  await shows(page, 'tally-claps', 0);
  /** @type {string[]} */
  const sent = [];
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  cdp.on('Network.webSocketFrameSent', ({ response }) => response.payloadData.includes('"assert"') && sent.push(response.payloadData));
  const button = page.locator('tally-claps button[part=button]');
  await button.hover();
  // From here on the test turns the page's clock: a busy machine makes no pauses between claps.
  await pauseClock(page);
  await page.mouse.down();
  await page.clock.runFor(1000);
  assert.equal(await numberOf(page, 'tally-claps'), '6', 'after 350 ms, then each 110 ms');
  await page.mouse.up();
  await page.clock.runFor(700);
  await button.click();
  const own = Number(await numberOf(page, 'tally-claps'));
  assert.equal(own, 7);
  await page.clock.runFor(800);
  assert.equal(sent.length, 0, 'nothing while it goes on');
  assert.equal(await page.locator('tally-claps [part=own]').innerText(), `+${own}`);
  await page.clock.runFor(200);
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/claps/post'), own));
  assert.equal(sent.length, 1);
  assert.equal(JSON.parse(sent[0]).amount, own);
  assert.equal(await button.getAttribute('aria-pressed'), null, 'claps are no switch');
  assert.deepEqual(warnings, []);
});

test('claps: at most fifty, by keyboard too, and kept after a reload', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-claps page="post"></tally-claps>' } });
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-claps', 0);
  await page.keyboard.press('Tab');
  for (let i = 0; i < 53; i++) await page.keyboard.press('Enter');
  assert.equal(await numberOf(page, 'tally-claps'), '50');
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/claps/post'), 50));
  await page.reload();
  await shows(page, 'tally-claps', 50);
  await page.locator('tally-claps button').click();
  assert.equal(await numberOf(page, 'tally-claps'), '50');
});

test('claps: leaving the page sends them', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-claps page="post"></tally-claps>' }, '/next': {} });
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-claps', 0);
  await page.locator('tally-claps button').click();
  await page.goto(`${site.url}/next`);
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/claps/post'), 1));
});

test('reactions: each is a live toggle of its own metric', async (t) => {
  const site = await startSite(t, {
    '/': { body: '<tally-reactions page="post" reactions="heart=Love it, rocket, wow" count="heart=3"><b>fallback</b><i slot="wow">W</i></tally-reactions>' },
  });
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  const reaction = (/** @type {string} */ name) => page.locator(`tally-reactions tally-like[metric=${name}]`);
  await shows(page, 'tally-reactions tally-like[metric=rocket]', 0);
  const texts = () => page.locator('tally-reactions button').evaluateAll((all) => all.map((one) => `${one.querySelector('[role=img]')?.ariaLabel}${one.textContent?.trim()}`));
  await eventually(async () => assert.deepEqual(await texts(), ['Love it0', 'Rocket0', 'Wow0']));
  await page.evaluate(() => {
    const events = /** @type {any} */ (window).events = /** @type {any[]} */ ([]);
    document.addEventListener('tally-change', (event) => events.push([/** @type {any} */ (event.target).localName, /** @type {CustomEvent} */ (event).detail]));
  });
  await reaction('heart').locator('button').click();
  await reaction('wow').locator('button').click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/heart/post'), 1));
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/wow/post'), 1));
  await reaction('wow').locator('button').click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/wow/post'), 0));
  await assertLike(site.service.url, 'default/rocket/post', 'somebody-else');
  await shows(page, 'tally-reactions tally-like[metric=rocket]', 1);
  assert.equal(await reaction('heart').locator('button').getAttribute('aria-pressed'), 'true');
  assert.equal(await reaction('rocket').locator('button').getAttribute('aria-pressed'), 'false');
  assert.equal(await page.locator('tally-reactions b').isVisible(), false);
  assert.equal(await page.locator('tally-reactions i').isVisible(), true, 'the page’s own emoji');
  const [[name, detail]] = await page.evaluate(() => /** @type {any} */ (window).events);
  assert.equal(name, 'tally-reactions');
  assert.deepEqual(detail, { count: 1, mine: 1, source: 'visitor', metric: 'heart' });
  // The buttons follow the attribute, and those that stay keep their state.
  await page.evaluate(() => document.querySelector('tally-reactions')?.setAttribute('reactions', 'sad,heart'));
  await eventually(async () => assert.equal(await page.locator('tally-reactions tally-like').count(), 2));
  await shows(page, 'tally-reactions tally-like[metric=heart]', 1);
  assert.deepEqual(warnings, []);
});

test('visitors: a refused visit shows the count and no error', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors></tally-visitors>' } }, { flags: ['--topic-limit=1/h'] });
  const first = await newVisitor(t, browser);
  await shows(await first.open(site.url), 'tally-visitors', 1);
  const { context, open, warnings } = await newVisitor(t, browser, { userAgent: PERSON + ' Edg/156' });
  const refused = context.waitForEvent('response', (response) => response.request().method() === 'POST');
  const page = await open(site.url);
  assert.equal((await refused).status(), 429);
  await shows(page, 'tally-visitors', 1);
  assert.equal(await page.locator('tally-visitors [role=status]').count(), 0);
  assert.deepEqual(warnings.filter((text) => text.includes('tallycast')), []);
});

test('visitors: several elements and pages count one visitor, and store nothing', async (t) => {
  const body = '<header><tally-visitors></tally-visitors></header><footer><tally-visitors></tally-visitors></footer>';
  const site = await startSite(t, { '/': { body }, '/other': { body } });
  const { open, context, warnings } = await newVisitor(t, browser);
  const posts = [];
  context.on('request', (request) => request.method() === 'POST' && posts.push(request));
  const page = await open(site.url);
  await shows(page, 'header tally-visitors', 1);
  await shows(page, 'footer tally-visitors', 1);
  assert.equal(posts.length, 1);
  const next = await open(`${site.url}/other`);
  await shows(next, 'header tally-visitors', 1);
  assert.equal(await countOf(site.service.url, 'default/visitors/site'), 1);
  assert.deepEqual(await stored(next), {});
  // Another visitor: the service tells visitors apart by their user agents.
  const other = await newVisitor(t, browser, { userAgent: PERSON + ' Edg/156' });
  await other.open(site.url);
  await shows(page, 'header tally-visitors', 2);
  await shows(page, 'footer tally-visitors', 2);
  assert.deepEqual(warnings, []);
});

test('visitors: with consent one entry is stored, and the visitor is counted once for good', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors consent></tally-visitors>' }, '/page': { body: '<tally-visitors scope="page"></tally-visitors>' } });
  const { open, context } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-visitors', 1);
  await eventually(async () => assert.equal((await remembered(page)).mine?.['default/visitors/site'], 1));
  const posts = [];
  context.on('request', (request) => request.method() === 'POST' && posts.push(request));
  const again = await open(site.url);
  await shows(again, 'tally-visitors', 1);
  assert.equal(posts.length, 0, 'a counted visitor is not sent again');
  // The number of one page.
  const other = await open(`${site.url}/page`);
  await shows(other, 'tally-visitors', 1);
  assert.equal(await countOf(site.service.url, 'default/visitors/page'), 1);
});

test('visitors: consent after a visit does not count the visitor again', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors></tally-visitors>' }, '/later': { body: '<tally-visitors consent></tally-visitors>' } });
  /** @type {((page: import('playwright-core').Page) => Promise<unknown>)[]} */
  const ways = [
    (page) => page.evaluate(async (api) => (await import(`${api}/tally.js`)).consent(true), site.api),
    (page) => page.evaluate(() => document.querySelector('tally-visitors')?.setAttribute('consent', '')),
  ];
  for (const [i, agree] of ways.entries()) {
    const { open, context, warnings } = await newVisitor(t, browser, { userAgent: `${PERSON} Edg/${i}` });
    const page = await open(site.url);
    await shows(page, 'tally-visitors', i + 1);
    await eventually(async () => assert.equal(await countOf(site.service.url, 'default/visitors/site'), i + 1));
    assert.deepEqual(await stored(page), {});
    await agree(page);
    await eventually(async () => assert.equal((await remembered(page)).mine?.['default/visitors/site'], 1));
    /** @type {string[]} */
    const posts = [];
    context.on('request', (request) => request.method() === 'POST' && posts.push(request.url()));
    // On a later visit the service's derived id no longer matters.
    const later = await open(`${site.url}/later`);
    await shows(later, 'tally-visitors', i + 1);
    assert.deepEqual(posts, []);
    assert.deepEqual(warnings, []);
  }
});

test('visitors: an element that gets its page after insertion counts for that page only', async (t) => {
  const site = await startSite(t, { '/': {} });
  const { open, context } = await newVisitor(t, browser);
  /** @type {string[]} */
  const posts = [];
  context.on('request', (request) => request.method() === 'POST' && posts.push(new URL(request.url()).pathname));
  const page = await open(site.url);
  await page.evaluate(() => {
    const counter = /** @type {any} */ (document.createElement('tally-visitors'));
    document.body.append(counter);
    counter.consent = true;
    counter.page = 'named';
  });
  await shows(page, 'tally-visitors', 1);
  await eventually(async () => assert.equal((await remembered(page)).mine?.['default/visitors/named'], 1));
  assert.deepEqual(posts, ['/v1/default/visitors/named']);
});

test('views: one in half an hour', async (t) => {
  const site = await startSite(t, { '/post': { body: '<tally-visitors metric="views" scope="page"></tally-visitors>' } });
  const { open } = await newVisitor(t, browser);
  const page = await open(`${site.url}/post`);
  await shows(page, 'tally-visitors', 1);
  await page.reload();
  await shows(page, 'tally-visitors', 1);
  assert.equal(await countOf(site.service.url, 'default/views/post'), 1);
});

test('readers: open and visible pages count', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-readers></tally-readers>' } });
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-readers', 1);
  const second = await open(site.url);
  await shows(page, 'tally-readers', 2);
  await shows(second, 'tally-readers', 2);
  await second.evaluate(() => document.querySelector('tally-readers')?.remove());
  await shows(page, 'tally-readers', 1);
  await second.evaluate(() => document.body.append(document.createElement('tally-readers')));
  await shows(page, 'tally-readers', 2);
  await second.close();
  await shows(page, 'tally-readers', 1);
  assert.deepEqual(warnings, []);
});

test('readers: a page with only a stream is present', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-readers></tally-readers>' } });
  const { context } = await newVisitor(t, browser);
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-readers', 1);
});

test('privacy signals, bots and localhost are not counted', async (t) => {
  const body = '<tally-visitors></tally-visitors><tally-readers></tally-readers><tally-like page="post"></tally-like>';
  const site = await startSite(t, { '/': { body } });
  const local = site.url.replace('blog.example', 'localhost');
  /** @type {[string, string, import('playwright-core').BrowserContextOptions, string][]} */
  const cases = [
    ['Global Privacy Control', site.url, {}, "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"],
    ['Do Not Track', site.url, {}, "Object.defineProperty(Navigator.prototype, 'doNotTrack', { get: () => '1' })"],
    ['a bot', site.url, { userAgent: PERSON + ' (compatible; Examplebot/2.1)' }, ''],
    ['localhost', local, {}, ''],
  ];
  for (const [why, url, options, script] of cases) {
    const { context } = await newVisitor(t, browser, options);
    if (script) await context.addInitScript(script);
    const page = await context.newPage();
    /** @type {string[]} */
    const sent = [];
    /** @type {string[]} */
    const logged = [];
    page.on('console', (message) => message.type() === 'info' && logged.push(message.text()));
    page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(String(payload))));
    context.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
    await page.goto(url);
    if (url === local) {
      await eventually(() => assert.match(logged.join(), /^tallycast: (tally-\w+) does not count this visit: localhost is a development address. To count here, write <\1 local>$/));
      assert.equal(logged.length, 1, 'once');
      // The service does not allow this origin, so it shows no number here.
      await eventually(() => assert.ok(sent.length > 0));
    } else {
      await shows(page, 'tally-visitors', 0);
      await shows(page, 'tally-readers', 0);
      assert.ok(!sent.some((text) => text.includes('"present"') || text.includes('"assert":"default/visitors') || text.includes('/v1/default/visitors')), why);
      await page.locator('tally-like button').click();
      await eventually(() => assert.ok(sent.some((text) => text.includes('"assert":"default/likes/post'))), 5000);
    }
    assert.equal(await countOf(site.service.url, 'default/visitors/site'), 0, why);
    assert.equal(await countOf(site.service.url, 'default/readers/site'), 0, why);
  }
});

test('the console on localhost says that a privacy signal prevents counting', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors local></tally-visitors><tally-readers local></tally-readers>' } });
  const { context } = await newVisitor(t, browser);
  await context.addInitScript("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })");
  const page = await context.newPage();
  /** @type {string[]} */
  const logged = [];
  page.on('console', (message) => message.type() === 'info' && logged.push(message.text()));
  await page.goto(site.url.replace('blog.example', 'localhost'));
  await eventually(() => assert.match(logged.join(), /^tallycast: tally-\w+ does not count this visit: this browser asks not to be tracked$/));
});

test('top: rows in order with live numbers, reordered later', async (t) => {
  const body = '<tally-top limit="3" href="/posts/{key}"><ol><li><a href="/posts/b" data-page="b">The second</a></li></ol></tally-top>';
  const site = await startSite(t, { '/': { body } });
  for (const [key, likes] of /** @type {[string, number][]} */ ([['a', 1], ['b', 3], ['c/d e', 2], ['z', 0]])) {
    for (let i = 0; i < likes; i++) await assertLike(site.service.url, `default/likes/${encodeURI(key)}`, `visitor-${key.slice(0, 1)}-${i}`);
  }
  await eventually(async () => assert.equal((await (await fetch(`${site.service.url}/v1/top/default/likes`)).json()).top.length, 3));
  const { context, warnings } = await newVisitor(t, browser);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  const rows = () => page.locator('tally-top ol[part=list] li').evaluateAll((all) => all.map((row) => [row.querySelector('a')?.textContent, row.querySelector('a')?.getAttribute('href')?.replace(/^http:..[^/]*/, ''), row.querySelector('tally-count')?.shadowRoot?.querySelector('[part=number]')?.textContent]));
  await eventually(async () => assert.deepEqual(await rows(), [['The second', '/posts/b', '3'], ['c/d e', '/posts/c/d%20e', '2'], ['a', '/posts/a', '1']]));
  for (let i = 0; i < 4; i++) await assertLike(site.service.url, 'default/likes/a', `visitor-more-${i}`);
  await page.clock.runFor(1500);
  await eventually(async () => assert.equal((await rows())[2][2], '5'), 8000);
  await eventually(async () => assert.match(JSON.stringify(await (await fetch(`${site.service.url}/v1/top/default/likes`)).json()), /^{"top":\[{"topic":"default.likes.a"/));
  // Each row that moves starts at its old place.
  await page.evaluate(() => {
    const moved = /** @type {any} */ (window).moved = /** @type {any[]} */ ([]);
    const { animate } = Element.prototype;
    Element.prototype.animate = function (frames, options) {
      if (this.localName === 'li') moved.push([this.querySelector('a')?.textContent, Math.sign(parseFloat(/** @type {any} */ (frames).translate[0].split(' ')[1]))]);
      return animate.call(this, frames, options);
    };
  });
  await page.clock.runFor(15_000);
  await eventually(async () => assert.deepEqual((await rows()).map(([name]) => name), ['a', 'The second', 'c/d e']));
  assert.deepEqual(await page.evaluate('moved.sort()'), [['The second', -1], ['a', 1], ['c/d e', -1]]);
  assert.equal(await page.locator('tally-top ol[part=list]').getAttribute('aria-label'), 'Most liked');
  assert.deepEqual(warnings, []);
});

test('top: with since, gains that a refresh updates; without it again, live numbers', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-top since="7d"><a href="/b">The second</a></tally-top>' } }, { flags: [ADMIN_FLAG] });
  const { url } = site.service;
  await adminRequest(url, 'POST', 'seeds', { seeds: [{ topic: 'default/likes/a', seed: 1000 }] });
  for (const [key, likes] of /** @type {[string, number][]} */ ([['a', 2], ['b', 3]])) {
    for (let i = 0; i < likes; i++) await assertLike(url, `default/likes/${key}`, `visitor-${i}`);
  }
  const gains = async () => (await (await fetch(`${url}/v1/top/default/likes?since=7d`)).json()).top.map((/** @type {{ gain: number }} */ { gain }) => gain);
  await eventually(async () => assert.deepEqual(await gains(), [3, 2]), 12_000);
  const { context, warnings } = await newVisitor(t, browser);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  const list = page.locator('tally-top ol[part=list]');
  const rows = () => list.locator('li').evaluateAll((all) => all.map(({ children: [link, number] }) => [link.textContent, (number.shadowRoot?.querySelector('[part=number]') ?? number).textContent]));
  await eventually(async () => assert.deepEqual(await rows(), [['The second', '+3'], ['a', '+2']]));
  assert.equal(await list.getAttribute('aria-label'), 'Rising');
  for (let i = 0; i < 2; i++) await assertLike(url, 'default/likes/a', `visitor-more-${i}`);
  await eventually(async () => assert.deepEqual(await gains(), [4, 3]), 12_000);
  await page.clock.runFor(15_000);
  await eventually(async () => assert.deepEqual(await rows(), [['a', '+4'], ['The second', '+3']]));
  await page.locator('tally-top').evaluate((top) => top.removeAttribute('since'));
  await eventually(async () => assert.deepEqual(await rows(), [['a', '1,004'], ['The second', '3']]));
  assert.deepEqual(warnings, []);
});
