import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, newVisitor, press, pressed, remembered, shows, STILL, useBrowser } from './browser.js';
import { assertLike, countOf, startRedis, startRelay, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';

/** How long the link stays broken after a press was kept, in milliseconds: OUTAGE_SECONDS=30 for the long form. */
const OUTAGE = Number(process.env.OUTAGE_SECONDS ?? 0) * 1000;

/** The service promises 5 s after a fault. The rest is for a busy machine. */
const RECOVERY = 15_000;

const browser = useBrowser();

/** @param {import('node:test').TestContext} t */
async function startRegion(t) {
  const primary = await startRedis();
  t.after(() => primary.stop());
  // The instance and the replica each reach the primary over the link.
  const links = [await startRelay(primary.port, 40), await startRelay(primary.port, 40)];
  t.after(() => links.forEach((link) => link.stop()));
  const replica = await startRedis(undefined, ['--replicaof', '127.0.0.1', String(links[0].port), '--repl-diskless-sync-delay', '0']);
  t.after(() => replica.stop());
  // The replica is complete when the service has started.
  const home = await startService({ store: primary.url });
  t.after(() => home.stop());
  const region = await startService({ store: `redis://127.0.0.1:${links[1].port}/0`, flags: [`--store-replica=${replica.url}`] });
  t.after(() => region.stop());
  const isUsed = async () => assert.match(await (await fetch(`${region.url}/readyz`)).text(), /"replica":\{"status":"used"/);
  await eventually(isUsed, RECOVERY);
  return { home, region, isUsed, breakLink: (/** @type {boolean} */ on) => links.forEach((link) => link.break(on)) };
}

test('without the link to the primary pages show stale numbers and keep presses', async (t) => {
  const { home, region, isUsed, breakLink } = await startRegion(t);
  const first = await newVisitor(t, browser, STILL);
  const second = await newVisitor(t, browser, STILL);
  const page = await first.open(region.url);
  await live(page);
  await assertLike(home.url, TOPIC, 'somebody-else');
  await shows(page, HEART, 1);
  const status = (/** @type {import('playwright-core').Page} */ each) => each.locator('#status').getAttribute('data-status');
  const message = () => page.locator(`${HEART} [role=status]`).textContent();

  breakLink(true);
  await eventually(async () => assert.equal(await status(page), 'stale'), RECOVERY);
  await shows(page, HEART, 1);
  const opened = await second.open(region.url);
  await shows(opened, HEART, 1);
  await eventually(async () => assert.equal(await status(opened), 'stale', 'a page that is opened meanwhile'));
  const third = await newVisitor(t, browser, STILL);
  await third.context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  await third.context.route('**/v1/stream', (route) => route.abort());
  const polling = await third.open(region.url);
  await shows(polling, HEART, 1);
  await eventually(async () => assert.equal(await status(polling), 'stale', 'a page that polls'));
  await third.context.close();
  await press(page, HEART);
  await shows(page, HEART, 2);
  await eventually(async () => assert.match(String(await message()), /sent later/), RECOVERY);
  await assertLike(home.url, TOPIC, 'another-visitor');
  await new Promise((resolve) => setTimeout(resolve, OUTAGE));
  assert.equal(await pressed(page, HEART), true);
  assert.equal(await countOf(home.url, TOPIC), 2);

  breakLink(false);
  const repaired = Date.now();
  await eventually(async () => assert.equal(await countOf(home.url, TOPIC), 3), RECOVERY);
  for (const each of [page, opened]) {
    await shows(each, HEART, 3, RECOVERY);
    await live(each);
  }
  t.diagnostic(`everything agreed ${Date.now() - repaired} ms after the link was back`);
  await eventually(async () => assert.equal(await message(), ''));
  assert.equal(await pressed(page, HEART), true);
  assert.equal(await pressed(opened, HEART), false);
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
  await eventually(isUsed, RECOVERY);
});
