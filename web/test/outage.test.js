import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, newVisitor, pauseClock, POST_ONLY, press, pressed, remembered, shows, STILL, useBrowser } from './browser.js';
import { assertChoice, assertLike, countOf, startRedis, startService } from './process.js';
import { startSite } from './site.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';

const browser = useBrowser();

test('a press is kept while the store is down, and sent again after', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const service = await startService({ store: redis.url });
  t.after(() => service.stop());
  const { open } = await newVisitor(t, browser, STILL);
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

test('a press that waits is kept if the limit of the address is exceeded when the store is back', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const { context, open } = await newVisitor(t, browser, STILL);
  await context.addInitScript(POST_ONLY);
  const page = await open(service.url);
  await live(page);
  const answers = [503, 429];
  await page.route(`**/v1/${TOPIC}`, (route) => {
    const status = answers.shift();
    return status ? route.fulfill({ status, json: { code: status === 429 ? 'rate_limited' : 'store_unavailable', status } }) : route.continue();
  });
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1), 30_000);
  assert.deepEqual(answers, []);
  assert.equal(await pressed(page, HEART), true);
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
});

test('presses that wait are sent at random moments after an outage of the store', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `default/likes/post-${i}`);
  const hearts = names.map((name) => `<tally-like page="${name.split('/')[2]}"></tally-like>`);
  const site = await startSite(t, { '/': { body: hearts.join('') } });
  const { context } = await newVisitor(t, browser, STILL);
  const page = await context.newPage();
  /** @type {import('playwright-core').WebSocketRoute | undefined} */
  let socket;
  const subscribed = new Set();
  /** @type {string[]} */
  const asserted = [];
  await page.routeWebSocket(/\/v1\/ws$/, (route) => {
    socket = route;
    route.onMessage((message) => {
      const { subscribe = [], assert: topic, id } = JSON.parse(String(message));
      subscribe.forEach((/** @type {string} */ name) => subscribed.add(name));
      if (!topic) return;
      asserted.push(topic);
      route.send(JSON.stringify({ id, error: { code: 'store_unavailable', message: 'The store is away.', retry_after: 60 } }));
    });
  });
  await page.clock.install();
  await page.goto(site.url);
  await eventually(() => assert.deepEqual([...subscribed], names));
  await pauseClock(page);
  socket?.send('{"event":"stale"}');
  await page.evaluate(() => document.querySelectorAll('tally-like').forEach((heart) => heart.shadowRoot?.querySelector('button')?.click()));
  await eventually(async () => assert.deepEqual(await page.locator('tally-like [part=status]').allTextContents(), names.map(() => 'Will be sent later')));
  assert.deepEqual(asserted, names);

  /** Returns how many presses were sent again, without those that the page is about to send. */
  const sentAgain = async (/** @type {string} */ marker) => {
    await page.evaluate((marker) => document.body.insertAdjacentHTML('afterbegin', `<tally-count page="${marker}"></tally-count>`), marker);
    await eventually(() => assert.ok(subscribed.has(`default/likes/${marker}`)));
    return asserted.length - names.length;
  };
  socket?.send('{"event":"live"}');
  assert.equal(await sentAgain('at-once'), 0);
  await page.clock.runFor(1500);
  const half = await sentAgain('half');
  assert.ok(half > 0 && half < names.length, `${half} of ${names.length} in the first half of the time`);
  await page.clock.runFor(1500);
  assert.equal(await sentAgain('end'), names.length);
});

test('a page opened while the store is down shows the presses of the page before, and each counts once', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const elements = ['<tally-like page="post"></tally-like>', '<tally-claps page="post"></tally-claps>', '<tally-poll page="post" options="Yes,No"></tally-poll>'];
  const site = await startSite(t, { '/': { body: elements.join('') } }, { store: redis.url });
  const url = site.service.url;
  const options = async () => (await (await fetch(`${url}/v1/default/poll/post`)).json()).options.slice(0, 2);
  await assertLike(url, 'default/likes/post', 'somebody-else');
  await assertLike(url, 'default/claps/post', 'somebody-else');
  await assertChoice(url, 'default/poll/post', 'somebody-else', 1);
  const other = await (await newVisitor(t, browser)).open(site.url);
  const { open, context } = await newVisitor(t, browser, STILL);
  const states = (/** @type {import('playwright-core').Page} */ page) =>
    page.evaluate(() => {
      const [like, claps, poll] = ['like', 'claps', 'poll'].map((name) => document.querySelector(`tally-${name}`)?.shadowRoot);
      return {
        like: [like?.querySelector('[part=number]')?.textContent, like?.querySelector('button')?.ariaPressed],
        claps: [claps?.querySelector('[part=number]')?.textContent, claps?.querySelector('button')?.className],
        poll: [...(poll?.querySelectorAll('[part=result]') ?? [])].map((result) => result.textContent),
        chosen: [.../** @type {NodeListOf<HTMLInputElement>} */ (poll?.querySelectorAll('input') ?? [])].map(({ checked }) => checked),
      };
    });
  const before = { like: ['1', 'false'], claps: ['1', ''], poll: ['100% · 1', '0% · 0'], chosen: [false, false] };
  const opened = { like: ['‒', 'true'], claps: ['‒', 'on'], poll: ['', ''], chosen: [false, true] };
  const after = { like: ['2', 'true'], claps: ['4', 'on'], poll: ['50% · 1', '50% · 1'], chosen: [false, true] };
  const page = await open(site.url);
  for (const each of [page, other]) await eventually(async () => assert.deepEqual(await states(each), before));

  redis.signal('SIGSTOP');
  await press(page, 'tally-like');
  for (let n = 0; n < 3; n++) await press(page, 'tally-claps');
  await page.getByRole('radio', { name: 'No', exact: true }).click();
  assert.deepEqual(await states(page), after, 'at once');
  const messages = () => page.locator('tally-like [part=status], tally-claps [part=status], tally-poll [part=status]').allTextContents();
  await eventually(async () => assert.deepEqual(await messages(), Array(3).fill('Will be sent later')), 15_000);
  await page.close();
  const reopened = await open(site.url);
  await eventually(async () => assert.deepEqual(await states(reopened), opened, 'without the numbers, which the store has'));
  await eventually(async () => assert.deepEqual(await reopened.locator('tally-like [part=status]').textContent(), 'Will be sent later'), 15_000);
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  await context.route('**/v1/stream', (route) => route.abort());
  const polling = await open(site.url);
  await eventually(async () => assert.deepEqual(await states(polling), after, 'polling brings the numbers of the service\'s memory'), 15_000);
  assert.deepEqual(await states(other), before);

  redis.signal('SIGCONT');
  await eventually(async () => assert.deepEqual((await remembered(reopened)).wish, {}), 30_000);
  assert.deepEqual([await countOf(url, 'default/likes/post'), await countOf(url, 'default/claps/post'), await options()], [2, 4, [1, 1]]);
  const followed = { ...after, like: ['2', 'false'], claps: ['4', ''], chosen: [false, false] };
  await eventually(async () => assert.deepEqual(await states(other), followed), 15_000);
  for (const each of [reopened, polling]) await eventually(async () => assert.deepEqual(await states(each), after), 30_000);
  await press(reopened, 'tally-like');
  await eventually(async () => assert.equal(await countOf(url, 'default/likes/post'), 1));
});

test('pages reconnect to a restarted service and send the presses made meanwhile', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const first = await startService({ store: redis.url });
  t.after(() => first.stop());
  const { open } = await newVisitor(t, browser, STILL);
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

test('without WebSockets and streams the page polls', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const { context } = await newVisitor(t, browser, STILL);
  // Like a filter on the network: the connection ends before the first frame.
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  await context.route('**/v1/stream', (route) => route.abort());
  const page = await context.newPage();
  // Polling waits 10 s: the test turns the page's clock.
  await page.clock.install();
  const polled = page.waitForRequest('**/v1/counts');
  await page.goto(service.url);
  await polled;
  await live(page);
  await assertLike(service.url, TOPIC, 'somebody-else');
  await eventually(async () => {
    await page.clock.runFor(2000);
    await shows(page, HEART, 1, 0);
  });
});
