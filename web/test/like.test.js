import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, newVisitor, POST_ONLY, press, pressed, remembered, shows, STILL, useBrowser } from './browser.js';
import { assertLike, countOf, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';

const browser = useBrowser();
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;

/**
 * Starts a service for the test, and opens its page as the first reader.
 * @param {import('node:test').TestContext} t
 * @param {string} [init] runs first in each page
 */
async function firstReader(t, init = '') {
  service = await startService();
  t.after(() => service.stop());
  return reader(t, init);
}

/**
 * @param {import('node:test').TestContext} t
 * @param {string} [init] runs first in each page
 */
async function reader(t, init = '') {
  const visitor = await newVisitor(t, browser, STILL);
  await visitor.context.addInitScript(init);
  const page = await visitor.open(service.url);
  await live(page);
  return { ...visitor, page };
}

test('two readers see each other’s like', async (t) => {
  const a = await firstReader(t);
  const b = await reader(t);
  await shows(b.page, HEART, 0);
  await press(a.page, HEART);
  await shows(b.page, HEART, 1);
  assert.equal(await pressed(a.page, HEART), true);
  assert.equal(await pressed(b.page, HEART), false);
  await press(b.page, HEART);
  await shows(a.page, HEART, 2);
  await shows(a.page, '.footer tally-count', 2);
  await press(a.page, HEART);
  await shows(b.page, HEART, 1);
  assert.deepEqual([...a.warnings, ...b.warnings], []);
});

test('a press shows in the same task', async (t) => {
  const { page } = await firstReader(t);
  await assertLike(service.url, TOPIC, 'somebody-else');
  await shows(page, HEART, 1);
  const seen = await page.evaluate((selector) => {
    const root = document.querySelector(selector)?.shadowRoot;
    const button = /** @type {HTMLButtonElement} */ (root?.querySelector('button'));
    button.click();
    return [button.ariaPressed, root?.querySelector('[part=number]')?.textContent];
  }, HEART);
  assert.deepEqual(seen, ['true', '2']);
});

test('a reload keeps the heart pressed', async (t) => {
  const { page } = await firstReader(t);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  await page.reload();
  await live(page);
  assert.equal(await pressed(page, HEART), true);
  await shows(page, HEART, 1);
});

test('nothing is stored before a press, one entry after it', async (t) => {
  const { page } = await firstReader(t);
  const keys = () => page.evaluate(() => Object.keys(localStorage));
  assert.deepEqual(await keys(), []);
  await press(page, HEART);
  assert.deepEqual(await keys(), [`tallycast:v1:${service.url}/`]);
});

test('after quick presses the last one counts', async (t) => {
  const { page, context } = await firstReader(t);
  let inFlight = 0;
  let most = 0;
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  cdp.on('Network.webSocketFrameSent', ({ response }) => response.payloadData.includes('"assert"') && (most = Math.max(most, ++inFlight)));
  cdp.on('Network.webSocketFrameReceived', ({ response }) => response.payloadData.includes('"id"') && inFlight--);
  for (const presses of [5, 4, 7]) {
    await page.evaluate(
      ([selector, times]) => {
        const button = document.querySelector(String(selector))?.shadowRoot?.querySelector('button');
        for (let i = 0; i < Number(times); i++) button?.click();
      },
      [HEART, presses],
    );
  }
  // Sixteen presses of an unpressed heart.
  await eventually(async () => assert.equal((await storedWishes(page)).length, 0));
  assert.equal(await pressed(page, HEART), false);
  assert.equal(await countOf(service.url, TOPIC), 0);
  await shows(page, HEART, 0);
  assert.equal(most, 1, 'one assertion in flight for each topic');
});

test('an own press changes the number once', async (t) => {
  const { page } = await firstReader(t);
  await page.evaluate((selector) => {
    const number = document.querySelector(selector)?.shadowRoot?.querySelector('[part=number]');
    const seen = /** @type {any} */ (window).seen = [number?.textContent];
    new MutationObserver(() => seen.push(number?.textContent)).observe(/** @type {Node} */ (number), { childList: true, characterData: true, subtree: true });
  }, HEART);
  await press(page, HEART);
  await eventually(async () => assert.equal((await storedWishes(page)).length, 0));
  await assertLike(service.url, TOPIC, 'somebody-else');
  await shows(page, HEART, 2);
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).seen), ['0', '1', '2']);
});

test('a press while offline is sent later', async (t) => {
  const { page, context } = await firstReader(t);
  await context.setOffline(true);
  await press(page, HEART);
  await shows(page, HEART, 1);
  await eventually(async () => assert.match(await page.locator(`${HEART} [role=status]`).innerText(), /sent later/));
  assert.equal(await pressed(page, HEART), true);
  assert.equal(await countOf(service.url, TOPIC), 0);
  await context.setOffline(false);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  assert.equal(await pressed(page, HEART), true);
  await eventually(async () => assert.equal((await storedWishes(page)).length, 0));
  await shows(page, HEART, 1);
});

test('a press that a closed page did not send is sent on the next visit', async (t) => {
  const { page, context, open } = await firstReader(t);
  await context.setOffline(true);
  await press(page, HEART);
  await eventually(async () => assert.equal((await storedWishes(page)).length, 1));
  await page.close();
  await context.setOffline(false);
  const next = await open(`${service.url}/demo/`);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  await shows(next, '.footer tally-count', 1);
});

test('three tabs of one visitor show the same state', async (t) => {
  const { page, open } = await firstReader(t);
  const others = [await open(service.url), await open(service.url)];
  for (const other of others) await live(other);
  await press(page, HEART);
  for (const other of others) {
    await eventually(async () => assert.equal(await pressed(other, HEART), true));
    await shows(other, HEART, 1);
  }
  await press(others[0], HEART);
  for (const other of [page, others[1]]) {
    await eventually(async () => assert.equal(await pressed(other, HEART), false));
    await shows(other, HEART, 0);
  }
});

test('after a lost answer the press is asserted again and counts once', async (t) => {
  const { page, context } = await firstReader(t, POST_ONLY);
  let requests = 0;
  await context.route(`**/v1/${TOPIC}`, async (route) => {
    // The service gets the request, and the page gets no answer.
    if (++requests > 2) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await press(page, HEART);
  assert.equal(await pressed(page, HEART), true);
  await eventually(async () => assert.equal((await storedWishes(page)).length, 0), 20_000);
  assert.equal(requests, 3);
  assert.equal(await countOf(service.url, TOPIC), 1);
  await shows(page, HEART, 1);
  assert.equal(await pressed(page, HEART), true);
});

/**
 * Presses, and has three others like before the answer comes: the page holds their frames.
 * @param {import('node:test').TestContext} t
 * @param {(route: import('playwright-core').Route) => Promise<object>} respond makes the answer
 */
async function pressInFlight(t, respond) {
  const { page, context } = await firstReader(t, POST_ONLY);
  /** @type {() => void} */
  let answer = () => {};
  /** @type {Promise<void>} */
  const held = new Promise((resolve) => (answer = resolve));
  let requests = 0;
  await context.route(`**/v1/${TOPIC}`, async (route) => {
    const response = await respond(route);
    requests++;
    await held;
    await route.fulfill(response);
  });
  /** @type {string[]} */
  const frames = [];
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  cdp.on('Network.webSocketFrameReceived', ({ response }) => frames.push(response.payloadData));
  await page.evaluate((selector) => {
    const number = document.querySelector(selector)?.shadowRoot?.querySelector('[part=number]');
    const seen = /** @type {any} */ (window).seen = /** @type {any[]} */ ([]);
    new MutationObserver(() => seen.push(number?.textContent)).observe(/** @type {Node} */ (number), { childList: true });
    const changes = /** @type {any} */ (window).changes = /** @type {any[]} */ ([]);
    document.querySelector(selector)?.addEventListener('tally-change', (event) => {
      const { count, source } = /** @type {CustomEvent} */ (event).detail;
      changes.push([count, source]);
    });
  }, HEART);
  await press(page, HEART);
  await eventually(() => assert.equal(requests, 1));
  const before = await countOf(service.url, TOPIC);
  for (let i = 0; i < 3; i++) await assertLike(service.url, TOPIC, `visitor-${i}`);
  await eventually(() => assert.ok(frames.some((frame) => frame.includes(`"count":${before + 3}`))));
  assert.deepEqual(await page.evaluate('seen'), ['1']);
  answer();
  await shows(page, HEART, before + 3);
  return { page, before };
}

test('frames are held while a press is in flight', async (t) => {
  const { page, before } = await pressInFlight(t, async (route) => ({ response: await route.fetch() }));
  assert.equal(before, 1);
  const seen = await page.evaluate('seen');
  assert.deepEqual([seen[0], seen.at(-1)], ['1', '4']);
  assert.deepEqual([...seen].sort(), seen, 'the number never goes back');
  const changes = await page.evaluate('changes');
  assert.deepEqual([changes[0], changes.at(-1)], [[1, 'visitor'], [4, 'server']], 'the source of changes by others is the server');
});

test('a refused press is taken back apart from changes by others', async (t) => {
  const { page, before } = await pressInFlight(t, async () => ({
    status: 429, contentType: 'application/problem+json', headers: { 'Retry-After': '1' }, body: '{"code":"rate_limited","message":"Too many."}',
  }));
  assert.equal(before, 0);
  assert.equal(await pressed(page, HEART), false);
  assert.deepEqual(await page.evaluate('changes'), [[1, 'visitor'], [0, 'visitor'], [3, 'server']]);
});

test('an unsent press is kept for seven days', async (t) => {
  const { page, open } = await firstReader(t);
  const day = 86_400_000;
  for (const [age, count] of [[7 * day + 60_000, 0], [7 * day - 60_000, 1]]) {
    await page.evaluate(
      ([topic, age]) => localStorage.setItem(`tallycast:v1:${location.origin}/`, JSON.stringify({ visitor: 'somebody', mine: {}, wish: { [topic]: [1, Date.now() - Number(age)] } })),
      /** @type {const} */ ([TOPIC, age]),
    );
    const next = await open(service.url);
    await live(next);
    if (count) await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
    await shows(next, HEART, count);
    assert.equal(await pressed(next, HEART), !!count);
    assert.equal(await countOf(service.url, TOPIC), count);
    await next.close();
  }
});

test('a refusal takes the press back and shows a message', async (t) => {
  // With one new topic an hour the second heart is refused.
  service = await startService({ flags: ['--new-topic-limit=1/h'] });
  t.after(() => service.stop());
  const { open, warnings } = await newVisitor(t, browser, STILL);
  const page = await open(`${service.url}/demo/`);
  await live(page);
  const hearts = page.locator('.items tally-like');
  let refused = -1;
  // The limit may allow a small burst.
  for (let i = 0; i < 10 && refused < 0; i++) {
    await hearts.nth(i).locator('button[part=button]').click();
    await eventually(async () => assert.equal((await storedWishes(page)).length, 0));
    if ((await hearts.nth(i).locator('button[part=button]').getAttribute('aria-pressed')) === 'false') refused = i;
  }
  assert.ok(refused >= 0, 'none was refused');
  assert.equal(await hearts.nth(refused).locator('[role=status]').innerText(), 'Not saved');
  assert.equal(warnings.filter((text) => /^tallycast: rate_limited ./.test(text)).length, 1, String(warnings));
  assert.equal(await hearts.nth(refused).locator('[part=number]').innerText(), '0');
});

test('an unknown topic is reported and has no button', async (t) => {
  const { page } = await firstReader(t);
  // An undeclared metric.
  const { code, message } = await page.evaluate(async () => {
    const heart = document.createElement('tally-like');
    heart.setAttribute('page', 'refused');
    heart.id = 'refused';
    document.querySelector('main')?.prepend(heart);
    const refused = new Promise((resolve) => heart.addEventListener('tally-error', (event) => resolve(/** @type {CustomEvent} */ (event).detail)));
    heart.setAttribute('metric', 'cheers');
    return refused;
  });
  assert.equal(code, 'unknown_metric');
  assert.match(message, /cheers/);
  assert.equal(await page.locator('#refused button[part=button]').isVisible(), false, 'an unknown topic has no button');
});

/** @param {import('playwright-core').Page} page */
const storedWishes = async (page) => Object.keys((await remembered(page)).wish ?? {});
