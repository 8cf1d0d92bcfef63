import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, newVisitor, press, pressed, remembered, shows, useBrowser } from './browser.js';
import { assertLike, countOf, startRedis, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';

const browser = useBrowser();

test('a press is kept while the store is down, and sent again after', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const service = await startService({ store: redis.url });
  t.after(() => service.stop());
  const { open } = await newVisitor(t, browser);
  const page = await open(service.url);
  await live(page);
  await assertLike(service.url, TOPIC, 'somebody-else');
  await shows(page, HEART, 1);

  redis.signal('SIGSTOP');
  await press(page, HEART);
  assert.equal(await pressed(page, HEART), true, 'pressed at once');
  await eventually(async () => assert.match(await page.locator(`${HEART} [role=status]`).innerText(), /sent later/), 15_000);
  assert.equal(await pressed(page, HEART), true);
  await shows(page, HEART, 2);

  redis.signal('SIGCONT');
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 2), 30_000);
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}), 15_000);
  await shows(page, HEART, 2);
  assert.equal(await pressed(page, HEART), true);
});

test('pages reconnect to a restarted service and send the presses made meanwhile', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const first = await startService({ store: redis.url });
  t.after(() => first.stop());
  const { open } = await newVisitor(t, browser);
  const page = await open(first.url);
  await live(page);
  await first.stop();
  await eventually(async () => assert.equal(await page.locator('#status').getAttribute('data-status'), 'away'));
  await press(page, HEART);
  assert.equal(await pressed(page, HEART), true);
  await eventually(async () => assert.match(await page.locator(`${HEART} [role=status]`).innerText(), /sent later/));
  const second = await startService({ store: redis.url, port: first.port });
  t.after(() => second.stop());
  await eventually(() => live(page), 20_000);
  await eventually(async () => assert.equal(await countOf(second.url, TOPIC), 1), 20_000);
  await shows(page, HEART, 1);
  assert.equal(await pressed(page, HEART), true);
  await eventually(async () => assert.equal(await page.locator(`${HEART} [role=status]`).textContent(), ''), 2000);
});

test('without WebSockets the page streams, without streams it polls', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  for (const blocked of [['ws'], ['ws', 'stream']]) {
    const { context } = await newVisitor(t, browser);
    // Like a filter on the network: the connection ends before the first frame.
    await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
    if (blocked.includes('stream')) await context.route('**/v1/stream', (route) => route.abort());
    const page = await context.newPage();
    // Polling waits 10 s: the test turns the page's clock.
    await page.clock.install();
    /** @type {string[]} */
    const requests = [];
    page.on('request', (request) => request.method() === 'POST' && requests.push(new URL(request.url()).pathname));
    await page.goto(service.url);
    await live(page);
    const way = blocked.includes('stream') ? '/v1/counts' : '/v1/stream';
    assert.ok(requests.includes(way), `requests: ${requests}`);
    const count = await countOf(service.url, TOPIC);
    await assertLike(service.url, TOPIC, `visitor-${blocked.length}`);
    await eventually(async () => {
      await page.clock.runFor(2000);
      await shows(page, HEART, count + 1, 0);
    });
  }
});

test('a hidden page disconnects after ten seconds and is current when shown', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const { context } = await newVisitor(t, browser);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(service.url);
  await live(page);
  const hide = (/** @type {boolean} */ hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  const status = () => page.locator('#status').getAttribute('data-status');
  await hide(true);
  await page.clock.runFor(9000);
  assert.equal(await status(), 'live', 'a short look at another tab keeps the connection');
  await page.clock.runFor(1500);
  assert.equal(await status(), 'away');
  await assertLike(service.url, TOPIC, 'somebody-else');
  await hide(false);
  await live(page);
  await page.clock.runFor(1500);
  await shows(page, HEART, 1);
});
