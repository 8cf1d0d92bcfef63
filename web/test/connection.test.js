import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHROMIUM, newVisitor, pauseClock, recordStatus, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const COUNT = { body: '<tally-count page="post">?</tally-count>' };

const browser = useBrowser();

/** Playwright disables the back/forward cache by default; the headless shell has none. */
const caching = useBrowser({ executablePath: CHROMIUM, ignoreDefaultArgs: ['--disable-back-forward-cache'] });

/** @param {import('playwright-core').Page} page */
const status = (page) => page.evaluate(() => /** @type {any} */ (window).statuses.at(-1));

test('a policy that forbids only the socket leads to the stream at once', async (t) => {
  const pages = { '/': { ...COUNT, headers: {} } };
  const site = await startSite(t, pages);
  const host = site.api.replace('http://', '');
  pages['/'].headers = { 'content-security-policy': `default-src 'none'; img-src data:; script-src http://${host}; connect-src http://${host}; require-trusted-types-for 'script'` };
  const { context } = await newVisitor(t, browser);
  const page = await context.newPage();
  /** @type {string[]} */
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  await page.clock.install();
  await page.goto(site.url);
  await pauseClock(page);
  await eventually(async () => {
    // The page's clock is slow, so that no timeout can help.
    await page.clock.runFor(1);
    assert.ok(requests.includes('/v1/stream'), String(requests));
  });
  await shows(page, 'tally-count', 0);
  assert.ok(requests.some((path) => /^\/tally-[0-9a-f]{16}\.js$/.test(path)), 'the fallback is a second script');
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await page.clock.runFor(1500);
  await shows(page, 'tally-count', 1);
});

test('a script with integrity loads no second script, and can stream', async (t) => {
  const pages = { '/': { ...COUNT, tag: '', headers: {} } };
  const site = await startSite(t, pages);
  const { createHash } = await import('node:crypto');
  // As the gallery prints it: the current script's name and hash.
  const { readFile } = await import('node:fs/promises');
  const whole = await readFile(new URL('../dist/whole.js', import.meta.url));
  const name = `tally-${createHash('sha256').update(whole).digest('hex').slice(0, 16)}.js`;
  const integrity = `sha384-${createHash('sha384').update(whole).digest('base64')}`;
  pages['/'].tag = `<script type="module" src="${site.api}/${name}?site=default" integrity="${integrity}" crossorigin></script>`;
  const { context } = await newVisitor(t, browser);
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  const page = await context.newPage();
  /** @type {string[]} */
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  const script = page.waitForResponse((response) => response.url().includes(name));
  await page.goto(site.url);
  await shows(page, 'tally-count', 0);
  assert.equal(await (await script).headerValue('cache-control'), 'public, max-age=31536000, immutable');
  assert.deepEqual(requests.filter((path) => path.endsWith('.js')), [`/${name}`]);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await shows(page, 'tally-count', 1);
  // A script with another hash does not run.
  pages['/'].tag = pages['/'].tag.replace('sha384-', 'sha384-AAAA');
  await page.goto(site.url);
  assert.equal(await page.evaluate(() => !!customElements.get('tally-count')), false);
});

test('a page on a fallback tries the socket again', async (t) => {
  const site = await startSite(t, { '/': COUNT });
  const { context } = await newVisitor(t, browser);
  await recordStatus(context);
  let blocked = true;
  let sockets = 0;
  await context.routeWebSocket('**/v1/ws', (socket) => {
    sockets++;
    if (blocked) socket.close();
    else socket.connectToServer();
  });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await eventually(async () => assert.equal(await status(page), 'live'));
  assert.equal(sockets, 1);
  blocked = false;
  // The page's clock is fast and the service's beats are not: likes keep the connection from timing out.
  for (let i = 1; i <= 11; i++) {
    await assertLike(site.service.url, TOPIC, `visitor-${i}`);
    await shows(page, 'tally-count', i);
    await page.clock.runFor(26_000);
  }
  assert.equal(sockets, 1);
  await page.clock.runFor(26_000);
  await eventually(async () => assert.equal(await status(page), 'live'));
  assert.equal(sockets, 2);
});

test('polling replaces a silent stream', async (t) => {
  const site = await startSite(t, { '/': COUNT });
  const { context } = await newVisitor(t, browser);
  await recordStatus(context);
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  // A proxy that forwards nothing.
  await context.route('**/v1/stream', () => {});
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  const streams = page.waitForRequest('**/v1/stream');
  await streams;
  await page.clock.runFor(8500);
  await eventually(async () => assert.equal(await status(page), 'live'));
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await page.clock.runFor(11_000);
  await shows(page, 'tally-count', 1);
});

test('a page restored from the back/forward cache is current', async (t) => {
  const site = await startSite(t, { '/': COUNT, '/next': {} });
  const { context } = await newVisitor(t, caching);
  await recordStatus(context);
  await context.addInitScript(() => addEventListener('pageshow', ({ persisted }) => persisted && (/** @type {any} */ (window).cameBack = true)));
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-count', 0);
  await eventually(async () => assert.equal(await status(page), 'live'));
  await page.goto(`${site.url}/next`);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await page.evaluate(() => history.back());
  await page.waitForURL(`${site.url}/`, { waitUntil: 'commit' });
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).cameBack), true, 'not from the cache');
  await shows(page, 'tally-count', 1);
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).statuses), ['live', 'away', 'live']);
});

test('a connection without a frame for a minute is replaced', async (t) => {
  const site = await startSite(t, { '/': COUNT });
  const { context } = await newVisitor(t, browser);
  await recordStatus(context);
  let sockets = 0;
  let dead = false;
  let lost = 0;
  await context.routeWebSocket('**/v1/ws', (socket) => {
    sockets++;
    const server = socket.connectToServer();
    server.onMessage((message) => (dead ? lost++ : socket.send(message)));
  });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await eventually(async () => assert.equal(await status(page), 'live'));
  await pauseClock(page);
  dead = true;
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await eventually(async () => assert.equal(lost, 1));
  await page.clock.runFor(54_000);
  assert.equal(sockets, 1);
  dead = false;
  await page.clock.resume();
  await page.clock.runFor(15_000);
  await shows(page, 'tally-count', 1);
  assert.equal(sockets, 2);
});

test('a hidden page disconnects after ten seconds, and is current when shown an hour later', async (t) => {
  const site = await startSite(t, { '/': COUNT });
  const { context } = await newVisitor(t, browser);
  await recordStatus(context);
  let sockets = 0;
  context.on('page', (page) => page.on('websocket', () => sockets++));
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await eventually(async () => assert.equal(await status(page), 'live'));
  const hide = (/** @type {boolean} */ hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await pauseClock(page);
  await hide(true);
  await page.clock.runFor(9000);
  assert.equal(await status(page), 'live', 'a short look at another tab keeps the connection');
  await page.clock.runFor(1500);
  assert.equal(await status(page), 'away');
  await page.clock.fastForward('01:00:00');
  await page.clock.resume();
  assert.equal(sockets, 1);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await hide(false);
  await eventually(async () => assert.equal(await status(page), 'live'));
  await page.clock.runFor(1500);
  await shows(page, 'tally-count', 1);
  assert.equal(sockets, 2);
});

test('a connection without topics is kept for a few seconds, then closed', async (t) => {
  const site = await startSite(t, { '/': COUNT });
  const { context, warnings, open } = await newVisitor(t, browser);
  await recordStatus(context);
  await context.clock.install();
  /** @type {import('playwright-core').WebSocket[]} */
  const sockets = [];
  context.on('page', (page) => page.on('websocket', (socket) => sockets.push(socket)));
  const page = await open(site.url);
  /** @param {string} key */
  const turn = (key) => page.evaluate((key) => (document.body.innerHTML = key && `<tally-count page="${key}">?</tally-count>`), key);
  // Also while the socket connects: closing it then would write a warning to the console.
  for (const key of ['', 'other', '', 'post']) await turn(key);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await eventually(async () => assert.equal(await status(page), 'live'));
  await page.clock.runFor(2000);
  await shows(page, 'tally-count', 1);
  await turn('');
  await page.clock.runFor(6000);
  await eventually(() => assert.deepEqual(sockets.map((socket) => socket.isClosed()), [true]));
  assert.equal(await status(page), 'away');
  await turn('post');
  await shows(page, 'tally-count', 1);
  await eventually(() => assert.equal(sockets.length, 2));
  assert.deepEqual(warnings, []);
});

test('a prerendered page connects and counts when it is shown', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors></tally-visitors><tally-readers></tally-readers>' } });
  const { context } = await newVisitor(t, browser);
  await context.addInitScript(() => {
    Object.defineProperty(document, 'prerendering', { value: true, configurable: true });
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
  });
  let sockets = 0;
  let posts = 0;
  context.on('page', (page) => page.on('websocket', () => sockets++));
  context.on('request', (request) => request.method() === 'POST' && posts++);
  const page = await context.newPage();
  await page.goto(site.url);
  await page.waitForFunction(() => !!document.querySelector('tally-readers')?.shadowRoot);
  await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve)));
  assert.equal(sockets + posts, 0);
  await page.evaluate(() => {
    Object.defineProperty(document, 'prerendering', { value: false });
    Object.defineProperty(document, 'hidden', { value: false });
    document.dispatchEvent(new Event('prerenderingchange'));
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await shows(page, 'tally-visitors', 1);
  await shows(page, 'tally-readers', 1);
  assert.equal(posts, 1);
});

test('a forbidden origin is reported once and does not retry until the page is shown again', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post"></tally-like>' } });
  const { context, warnings, open } = await newVisitor(t, browser);
  const other = site.url.replace('blog.example', 'elsewhere.example');
  let requests = 0;
  context.on('request', (request) => request.method() === 'POST' && new URL(request.url()).pathname === '/v1/stream' && requests++);
  await context.addInitScript(() => Object.defineProperty(document, 'hidden', { value: false, configurable: true, writable: true }));
  await context.clock.install();
  const page = await open(other);
  const refusals = () => warnings.filter((text) => /^tallycast: origin_not_allowed .*--allow-origin/.test(text)).length;
  await eventually(() => assert.equal(refusals(), 1));
  await page.clock.runFor(120_000);
  assert.equal(requests, 1);
  for (let i = 0; i < 2; i++) {
    const answered = page.waitForResponse((response) => response.url().endsWith('/v1/likes/post') || response.url().endsWith('/v1/default/likes/post'));
    await page.locator('tally-like button').click();
    await answered;
    await eventually(async () => assert.equal(await page.locator('tally-like [role=status]').innerText(), 'Not saved'));
  }
  // The link reports it once, and the element with each refused press.
  assert.equal(refusals(), 3);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await eventually(() => assert.equal(requests, 2));
  assert.equal(refusals(), 3);
});
