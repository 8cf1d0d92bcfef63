/** The store loses data, or gets older data, while pages are open or visitors are away. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { newVisitor, numberOf, press, pressed, recordStatus, remembered, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, assertLike, countOf, adminRequest, runCommand, startRedis } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const HEART = { body: '<tally-like page="post"></tally-like>' };

/** How long a page may take to show the stored value, in milliseconds; polling takes 10 s. */
const SOON = 20_000;

const browser = useBrowser();

/**
 * @param {string} url of the service
 * @param {string} topic
 * @param {number} from
 * @param {number} to
 */
const likes = async (url, topic, from, to) => {
  for (let i = from; i < to; i++) await assertLike(url, topic, `somebody-${i}`);
};

/** Names a store and its backup in a folder that the test removes. */
const newStore = async (/** @type {import('node:test').TestContext} */ t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tallycast-older-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return { file: join(dir, 'tally.db'), backup: join(dir, 'backup.db') };
};

/** Blocks transports: the socket, then the stream. */
const block = async (/** @type {import('playwright-core').BrowserContext} */ context, /** @type {number} */ ways) => {
  if (ways > 0) await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  if (ways > 1) await context.route('**/v1/stream', (route) => route.abort());
};

/**
 * Waits until the element shows a number and keeps it.
 * @param {import('playwright-core').Page} page
 * @param {string} selector
 * @param {number} count
 * @param {number} [advance] by how much to turn the page's clock between two checks, in milliseconds
 */
const staysAt = async (page, selector, count, advance = 0) => {
  await eventually(async () => {
    if (advance) await page.clock.runFor(advance);
    await shows(page, selector, count, 0);
  }, SOON);
  await page.waitForTimeout(1500);
  assert.equal(await numberOf(page, selector), String(count));
};

/**
 * Makes random delays short, so that pages ask for their visitor's contribution early.
 * @param {import('playwright-core').BrowserContext} context
 */
const shortenDelays = (context) => context.addInitScript(() => (Math.random = () => 0.05));

test('open pages show a restored older backup', async (t) => {
  const { file, backup } = await newStore(t);
  const site = await startSite(t, { '/': HEART }, { store: `sqlite:${file}` });
  const { open } = await newVisitor(t, browser);
  await likes(site.service.url, TOPIC, 0, 3);
  await runCommand('backup', '--store', `sqlite:${file}`, backup);
  await likes(site.service.url, TOPIC, 3, 10);
  const page = await open(site.url);
  await shows(page, 'tally-like', 10);
  await site.restart(() => runCommand('restore', '--store', `sqlite:${file}`, backup));
  await staysAt(page, 'tally-like', 3);
  await likes(site.service.url, TOPIC, 20, 21);
  await shows(page, 'tally-like', 4);
});

for (const [way, name] of ['socket', 'stream', 'polling'].entries()) {
  test(`open pages show a database that is replaced by an older one, then lost, by ${name}`, async (t) => {
    const { file, backup } = await newStore(t);
    const site = await startSite(t, { '/': HEART }, { store: `sqlite:${file}` });
    const { context } = await newVisitor(t, browser);
    await block(context, way);
    await likes(site.service.url, TOPIC, 0, 3);
    await runCommand('backup', '--store', `sqlite:${file}`, backup);
    await likes(site.service.url, TOPIC, 3, 10);
    const page = await context.newPage();
    // Polling waits 10 s.
    const advance = name === 'polling' ? 2000 : 0;
    if (advance) await page.clock.install();
    await page.goto(site.url);
    await shows(page, 'tally-like', 10, SOON);
    const remove = async () => {
      for (const part of ['', '-wal', '-shm']) await rm(file + part, { force: true });
    };
    // Unlike the restore command, a copy does not raise the versions.
    await site.restart(async () => {
      await remove();
      await copyFile(backup, file);
    });
    await staysAt(page, 'tally-like', 3, advance);
    await site.restart(remove);
    await staysAt(page, 'tally-like', 0, advance);
  });
}

for (const restarted of [false, true]) {
  test(`a topic deleted while the page was disconnected shows 0${restarted ? ', also after a restart' : ''}`, async (t) => {
    const { file } = await newStore(t);
    const site = await startSite(t, { '/': HEART }, { store: `sqlite:${file}`, flags: [ADMIN_FLAG] });
    const { context } = await newVisitor(t, browser);
    let cut = false;
    /** @type {Set<import('playwright-core').WebSocketRoute>} */
    const sockets = new Set();
    await context.routeWebSocket('**/v1/ws', (socket) => {
      if (cut) return void socket.close();
      sockets.add(socket);
      socket.connectToServer();
    });
    await context.route(/\/v1\/(stream|counts)$/, (route) => (cut ? route.abort() : route.continue()));
    await likes(site.service.url, TOPIC, 0, 7);
    const page = await context.newPage();
    await page.goto(site.url);
    await shows(page, 'tally-like', 7);
    cut = true;
    for (const socket of sockets) await socket.close();
    await adminRequest(site.service.url, 'DELETE', `topics/${TOPIC}`);
    if (restarted) await site.restart(); // no instance remembers the deletion
    cut = false;
    await staysAt(page, 'tally-like', 0);
  });
}

test('a topic deleted while its element was removed shows 0 on the same socket', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-count page="other">?</tally-count><tally-like page="post"></tally-like>' } }, { flags: [ADMIN_FLAG] });
  const { context } = await newVisitor(t, browser);
  let sockets = 0;
  context.on('page', (page) => page.on('websocket', () => sockets++));
  await likes(site.service.url, TOPIC, 0, 7);
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-like', 7);
  await page.evaluate(() => {
    const heart = /** @type {any} */ (document.querySelector('tally-like'));
    /** @type {any} */ (window).heart = heart;
    heart.remove();
  });
  // When this shows, the unsubscribe message was sent.
  await page.evaluate(() => (document.body.insertAdjacentHTML('beforeend', '<tally-count page="third">?</tally-count>')));
  await shows(page, 'tally-count[page=third]', 0);
  await adminRequest(site.service.url, 'DELETE', `topics/${TOPIC}`);
  await page.evaluate(() => document.body.append(/** @type {any} */ (window).heart));
  await staysAt(page, 'tally-like', 0);
  assert.equal(sockets, 1);
});

/** How a store loses a visitor's contribution. */
const losses = {
  reset: { act: (/** @type {string} */ url, /** @type {string} */ topic) => adminRequest(url, 'POST', 'reset', { topics: [topic] }), others: 0 },
  'reset, and liked by others': {
    async act(/** @type {string} */ url, /** @type {string} */ topic) {
      await adminRequest(url, 'POST', 'reset', { topics: [topic] });
      await likes(url, topic, 0, 2);
    },
    others: 2,
  },
  deleted: { act: (/** @type {string} */ url, /** @type {string} */ topic) => adminRequest(url, 'DELETE', `topics/${topic}`), others: 0 },
};

for (const [name, { act, others }] of Object.entries(losses)) {
  test(`a returning visitor sees no pressed heart after the topic was ${name}, and can press again`, async (t) => {
    const site = await startSite(t, { '/': HEART }, { flags: [ADMIN_FLAG] });
    const { open } = await newVisitor(t, browser);
    const first = await open(site.url);
    await press(first, 'tally-like');
    // A press without an answer would be sent again by the next page.
    await eventually(async () => assert.deepEqual((await remembered(first)).mine, { [TOPIC]: 1 }));
    await first.close();
    await act(site.service.url, TOPIC);
    const page = await open(site.url);
    await shows(page, 'tally-like', others);
    await eventually(async () => assert.equal(await pressed(page, 'tally-like'), false));
    await press(page, 'tally-like');
    await shows(page, 'tally-like', others + 1);
    assert.equal(await pressed(page, 'tally-like'), true);
    await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), others + 1));
  });

  test(`an open page's heart is no longer pressed after its topic was ${name}`, async (t) => {
    const site = await startSite(t, { '/': HEART }, { flags: [ADMIN_FLAG] });
    const { context, open } = await newVisitor(t, browser);
    await shortenDelays(context);
    const page = await open(site.url);
    await likes(site.service.url, TOPIC, 10, 15);
    await press(page, 'tally-like');
    // The page shows its press at once; the service may still have to count it.
    await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 6));
    await shows(page, 'tally-like', 6);
    await act(site.service.url, TOPIC);
    await shows(page, 'tally-like', others);
    await eventually(async () => assert.equal(await pressed(page, 'tally-like'), false));
    await press(page, 'tally-like');
    await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), others + 1));
    assert.equal(await pressed(page, 'tally-like'), true);
  });
}

test('a pressed heart stays pressed when others take their likes back', async (t) => {
  const site = await startSite(t, { '/': HEART });
  const { context, open } = await newVisitor(t, browser);
  await shortenDelays(context);
  let requests = 0;
  context.on('request', (request) => request.url().endsWith('/v1/counts') && requests++);
  const page = await open(site.url);
  await likes(site.service.url, TOPIC, 0, 5);
  await press(page, 'tally-like');
  await shows(page, 'tally-like', 6);
  assert.equal(requests, 0, 'no request for a visitor who contributed nothing');
  for (let i = 0; i < 5; i++) await assertLike(site.service.url, TOPIC, `somebody-${i}`, 0);
  await shows(page, 'tally-like', 1);
  await eventually(() => assert.equal(requests, 1));
  assert.equal(await pressed(page, 'tally-like'), true);
  await shows(page, 'tally-like', 1);
  await page.close();
  // A returning visitor's page asks once.
  const again = await open(site.url);
  await eventually(() => assert.equal(requests, 2));
  await shows(again, 'tally-like', 1);
  assert.equal(await pressed(again, 'tally-like'), true);
});

for (const given of [50, 20]) {
  for (const late of [false, true]) {
    test(`one clap after a reset of ${given} counts once, ${late ? 'after' : 'before'} the page knows of the reset`, async (t) => {
      const topic = 'default/claps/post';
      const site = await startSite(t, { '/': { body: '<tally-claps page="post"></tally-claps>' } }, { flags: [ADMIN_FLAG] });
      const { context, open } = await newVisitor(t, browser);
      const first = await open(site.url);
      await press(first, 'tally-claps');
      await eventually(async () => assert.equal(await countOf(site.service.url, topic), 1));
      const [key, entry] = await first.evaluate(() => /** @type {[string, string]} */ (Object.entries(localStorage).find(([name]) => name.startsWith('tallycast'))));
      const visitor = JSON.parse(entry).visitor;
      await assertLike(site.service.url, topic, visitor, given);
      await first.evaluate(([key, given]) => localStorage.setItem(String(key), /** @type {string} */ (localStorage.getItem(String(key))).replace(/:1\b/, `:${given}`)), [key, given]);
      await first.close();
      await adminRequest(site.service.url, 'POST', 'reset', { topics: [topic] });
      let hold = !late;
      await context.route('**/v1/counts', async (route) => {
        while (hold) await new Promise((resolve) => setTimeout(resolve, 50));
        await route.continue();
      });
      const page = await open(site.url);
      await shows(page, 'tally-claps', 0);
      if (late) await eventually(async () => assert.match(String(await page.evaluate((key) => localStorage.getItem(key), key)), /"mine":\{\}/));
      await press(page, 'tally-claps');
      await page.waitForTimeout(1500); // until the pause after presses is over
      hold = false;
      await eventually(async () => assert.equal(await countOf(site.service.url, topic), 1));
      await shows(page, 'tally-claps', 1);
    });
  }
}

for (const when of ['while the service was away', 'before the page was connected again']) {
  test(`a clap pressed ${when} counts once after a loss`, async (t) => {
    const topic = 'default/claps/post';
    const { file } = await newStore(t);
    const site = await startSite(t, { '/': { body: '<tally-claps page="post"></tally-claps>' } }, { store: `sqlite:${file}` });
    const { context, open } = await newVisitor(t, browser);
    let cut = false;
    await context.routeWebSocket('**/v1/ws', (socket) => void (cut ? socket.close() : socket.connectToServer()));
    await context.route('**/v1/stream', (route) => (cut ? route.abort() : route.continue()));
    const page = await open(site.url);
    for (let i = 0; i < 5; i++) await press(page, 'tally-claps');
    await eventually(async () => assert.equal(await countOf(site.service.url, topic), 5));
    const back = when.startsWith('before');
    const clap = async () => {
      await press(page, 'tally-claps');
      await page.waitForTimeout(1500);
    };
    cut = back;
    await site.restart(async () => {
      if (!back) await clap();
      for (const part of ['', '-wal', '-shm']) await rm(file + part, { force: true });
    });
    if (back) await clap();
    cut = false;
    await eventually(async () => assert.equal(await countOf(site.service.url, topic), 1), SOON);
    await staysAt(page, 'tally-claps', 1);
    assert.equal(await countOf(site.service.url, topic), 1);
  });
}

test('no reaction is pressed after a reset', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-reactions page="post" reactions="heart,party"></tally-reactions>' } }, { flags: [ADMIN_FLAG] });
  const { open } = await newVisitor(t, browser);
  const on = (/** @type {import('playwright-core').Page} */ page) => page.locator('tally-reactions tally-like.on').count();
  const first = await open(site.url);
  await first.locator('tally-reactions tally-like').first().click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/heart/post'), 1));
  assert.equal(await on(first), 1);
  await first.close();
  await adminRequest(site.service.url, 'POST', 'reset', { topics: ['default/heart/post'] });
  const page = await open(site.url);
  await eventually(async () => assert.equal(await page.locator('tally-reactions [part=number]').first().innerText(), '0'));
  await eventually(async () => assert.equal(await on(page), 0));
});

test('open pages and hearts follow a Redis that lost all or older data', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const site = await startSite(t, { '/': HEART }, { store: redis.url, flags: [ADMIN_FLAG] });
  const dir = await mkdtemp(join(tmpdir(), 'tallycast-older-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await likes(site.service.url, TOPIC, 0, 3);
  await runCommand('export', '--store', redis.url, '--with-secret', join(dir, 'numbers.jsonl'));
  await likes(site.service.url, TOPIC, 3, 10);
  const { context, open } = await newVisitor(t, browser);
  await shortenDelays(context);
  const page = await open(site.url);
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 11));
  await shows(page, 'tally-like', 11);
  await redis.flush();
  await runCommand('import', '--store', redis.url, join(dir, 'numbers.jsonl'));
  await staysAt(page, 'tally-like', 3);
  await eventually(async () => assert.equal(await pressed(page, 'tally-like'), false));
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 4));
});

test('a connected page and its heart follow a Redis that came back empty', async (t) => {
  const first = await startRedis();
  t.after(() => first.stop());
  const site = await startSite(t, { '/': HEART }, { store: first.url });
  const { context, open } = await newVisitor(t, browser);
  await shortenDelays(context);
  await recordStatus(context);
  await likes(site.service.url, TOPIC, 0, 10);
  const page = await open(site.url);
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 11));
  await first.stop();
  const statuses = () => page.evaluate(() => /** @type {any} */ (window).statuses);
  await eventually(async () => assert.deepEqual(await statuses(), ['live', 'stale']), SOON);
  const second = await startRedis(first.port);
  t.after(() => second.stop());
  await staysAt(page, 'tally-like', 0);
  await eventually(async () => assert.equal(await pressed(page, 'tally-like'), false));
  assert.deepEqual(await statuses(), ['live', 'stale', 'live']);
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  await shows(page, 'tally-like', 1);
});
