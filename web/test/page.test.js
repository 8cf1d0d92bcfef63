import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, live, newVisitor, press, SCREENS, shows } from './browser.js';
import { assertLike, countOf, startService } from './process.js';
import { assertUsable } from './usable.js';
import { eventually } from './wait.js';

const PAGES = ['/', '/demo/', '/gallery'];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;
/** Where the screenshots of this run are. */
let shots = '';

before(async () => {
  [browser, service] = await Promise.all([launch(), startService({ basePath: '/tally' })]);
  shots = process.env.SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), 'tallycast-screenshots-')));
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

const at = (/** @type {string} */ path) => service.url + path;

test('fifty hearts share one connection', async (t) => {
  const { context, open, complaints } = await newVisitor(t, browser, { viewport: { width: 1280, height: 4000 } });
  /** @type {string[]} */
  const sockets = [];
  /** @type {string[]} */
  const sent = [];
  context.on('page', (page) =>
    page.on('websocket', (socket) => {
      sockets.push(socket.url());
      socket.on('framesent', ({ payload }) => sent.push(String(payload)));
    }),
  );
  const page = await open(at('/demo/'));
  await live(page);
  assert.equal(await page.locator('.pleasures tally-like').count(), 50);
  await assertLike(service.url, 'default/likes/pleasures/someone-else', 'somebody-else');
  await shows(page, '.pleasures li:last-child tally-like', 1);
  await assertLike(service.url, 'default/likes/pleasures/first-coffee', 'somebody-else');
  await shows(page, '.pleasures li:first-child tally-like', 1);
  assert.equal(sockets.length, 1);
  assert.match(sockets[0], /\/tally\/v1\/ws$/, 'no topic in the URL');
  assert.equal(sent.length, 1, 'all topics in one message');
  assert.equal(JSON.parse(sent[0]).subscribe.length, 51);
  assert.deepEqual(complaints, []);
});

test('hearts far from the viewport are not pushed to until they come near', async (t) => {
  const { context } = await newVisitor(t, browser, { viewport: { width: 800, height: 400 } });
  const page = await context.newPage();
  /** @type {string[]} */
  const asked = [];
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => asked.push(...(JSON.parse(String(payload)).subscribe ?? []))));
  await page.goto(at('/demo/'));
  await live(page);
  assert.ok(asked.length < 50, `${asked.length} topics asked for`);
  await page.locator('.pleasures li:last-child').scrollIntoViewIfNeeded();
  await eventually(() => assert.ok(asked.includes('default/likes/pleasures/someone-else')));
});

test('without JavaScript the heart is a form that posts and comes back', async (t) => {
  const { open } = await newVisitor(t, browser, { javaScriptEnabled: false });
  for (const path of PAGES) {
    const page = await open(at(path));
    const form = page.locator('tally-like form').first();
    const topic = new URL((await form.getAttribute('action')) ?? '', service.url).pathname.slice('/tally/v1/'.length);
    const count = await countOf(service.url, topic);
    await form.locator('button').click();
    await page.waitForURL(at(path));
    await eventually(async () => assert.equal(await countOf(service.url, topic), count + 1));
    await page.reload();
    assert.match(await page.locator('tally-like form').first().innerText(), new RegExp(`${count + 1}$`));
  }
});

test('axe finds nothing, light and dark, wide and narrow', async (t) => {
  const { open } = await newVisitor(t, browser, { reducedMotion: 'reduce' });
  for (const path of PAGES) {
    const page = await open(at(path));
    await live(page);
    await press(page, 'tally-like');
    for (const { colorScheme, width, height } of SCREENS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      await assertUsable(page, `${path} ${colorScheme} ${width}`);
      await page.screenshot({ path: join(shots, `${path.replaceAll('/', '') || 'article'}-${colorScheme}-${width}.png`) });
    }
  }
  t.diagnostic(`screenshots in ${shots}`);
});

test('the pages keep their own policy and ask nobody else', async (t) => {
  for (const path of PAGES) {
    const { context, complaints } = await newVisitor(t, browser);
    await context.addInitScript(() => {
      const violations = /** @type {any} */ (window).violations = /** @type {string[]} */ ([]);
      addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`), true);
    });
    /** @type {Set<string>} */
    const origins = new Set();
    context.on('request', (request) => origins.add(new URL(request.url()).origin));
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    const response = await page.goto(at(path));
    const policy = (await response?.headerValue('content-security-policy')) ?? '';
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
    await live(page);
    await press(page, 'tally-like');
    await page.locator('#theme').click();
    await eventually(async () => assert.notEqual(await page.locator('tally-like [part=number]').first().innerText(), '0'));
    assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).violations), []);
    assert.deepEqual(complaints, []);
    assert.deepEqual([...origins], [new URL(service.url).origin]);
  }
});

test('the theme chosen is there again, and the second window shows the same page', async (t) => {
  const { context, open } = await newVisitor(t, browser, { colorScheme: 'light' });
  const page = await open(at('/'));
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.locator('#theme').click();
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await paper(), dark);
  const [second] = await Promise.all([context.waitForEvent('page'), page.locator('.second').click()]);
  await live(second);
  assert.equal(new URL(second.url()).pathname, '/tally/');
});

test('the gallery prints what a page, its policy and the service need, and it is true', async (t) => {
  const { open, complaints } = await newVisitor(t, browser, { permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await open(at('/gallery'));
  await live(page);
  await page.locator('[name=element]').selectOption('claps');
  await page.locator('[name=origin]').fill('https://example.org/some/post');
  await page.locator('[name=site]').fill('example');
  await page.locator('[name=page]').fill('a "page"');
  const text = (/** @type {string} */ id) => page.locator(`#${id}`).textContent();
  assert.equal(await text('tag'), `<script type="module" src="${service.url}/tally.js?site=example"></script>\n\n<tally-claps page="a &quot;page&quot;"></tally-claps>`);
  assert.equal(await text('flag'), 'tallycast --site example=https://example.org');
  const { origin } = new URL(service.url);
  assert.equal(await text('policy'), `script-src ${origin};\nconnect-src ${origin} ${origin.replace('http', 'ws')};`);
  await page.locator('[name=pin]').check();
  const pinned = /src="([^"?]+)\?site=example"\n  integrity="([^"]+)" crossorigin/.exec((await text('tag')) ?? '');
  assert.ok(pinned);
  const script = Buffer.from(await (await fetch(pinned[1])).arrayBuffer());
  assert.equal(pinned[2], `sha384-${createHash('sha384').update(script).digest('base64')}`);
  await page.locator('.answers .embed').first().hover();
  await page.locator('.answers .copy').first().click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text('tag'));
  // The knobs dress the elements, and say how.
  await page.locator('[name="--tally-radius"]').fill('3');
  assert.match((await text('css')) ?? '', /--tally-radius: 3px;/);
  const radius = () => page.locator('.works tally-claps button').evaluate((button) => getComputedStyle(button).borderRadius);
  assert.equal(await radius(), '3px');
  await page.locator('.theming [type=reset]').click();
  assert.notEqual(await radius(), '3px');
  assert.deepEqual(complaints, []);
});

test('the gallery has every element at work, and rests when it is asked to', async (t) => {
  const { open } = await newVisitor(t, browser, { viewport: { width: 1280, height: 8000 } });
  const page = await open(at('/gallery'));
  await live(page);
  // Others of these tests may be there, too.
  for (const name of ['readers', 'visitors']) {
    await eventually(async () => assert.ok(Number(await page.locator(`.works tally-${name} [part=number]`).first().innerText()) >= 1));
  }
  await page.locator('#pause').click();
  assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
  const before = await page.locator('.works tally-count [part=number]').first().innerText();
  await assertLike(service.url, 'default/likes/gallery', 'somebody-else');
  await page.locator('#pause').click();
  await shows(page, '.works tally-count', Number(before) + 1);
});
