/** Readers who sign in: one visitor on every device. */
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { live, newVisitor, POST_ONLY, press, pressed, shows, STILL, useBrowser } from './browser.js';
import { countOf, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';
const KEY = 'the-secret-of-the-backend-of-a-site';

/**
 * Returns the token that a backend signs for a reader.
 * @param {string} sub
 * @param {number} [age] how long ago it was signed, in seconds; it expires after an hour
 */
function tokenFor(sub, age = 0) {
  const encode = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const iat = Math.floor(Date.now() / 1e3) - age;
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, iat, exp: iat + 3600, jti: randomUUID() })}`;
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

const browser = useBrowser();

/** @typedef {import('playwright-core').Page} Page */

/**
 * Starts a service that knows the backend's key.
 * @param {import('node:test').TestContext} t
 * @param {string[]} flags
 */
async function start(t, flags = []) {
  const service = await startService({ flags: [`--visitor-key=${KEY}`, ...flags] });
  t.after(() => service.stop());
  return service;
}

/**
 * Opens the demo as a new device. The page gets tokens from `token`; null is nobody.
 * @param {import('node:test').TestContext} t
 * @param {{ url: string }} service
 * @param {() => string | null | Promise<string | null>} token
 */
async function open(t, service, token) {
  const { context, warnings } = await newVisitor(t, browser, STILL);
  await context.exposeFunction('requestToken', token);
  const page = await context.newPage();
  await page.goto(service.url);
  await live(page);
  return { page, context, warnings };
}

/** Signs in with the function that {@link open} exposes. @param {Page} page */
const signIn = (page) =>
  page.evaluate(async () => {
    const { identify } = await import(/** @type {any} */ ('/tally.js'));
    await identify(/** @type {any} */ (window).requestToken);
  });

/** @param {Page} page */
const signOut = (page) => page.evaluate(async () => (await import(/** @type {any} */ ('/tally.js'))).identify(null));

/** @param {Page} page @param {boolean} expected */
const heartIs = (page, expected) => eventually(async () => assert.equal(await pressed(page, HEART), expected));

test('a heart is red on every device of a reader', async (t) => {
  const service = await start(t);
  const ann = () => tokenFor('ann');
  const [phone, desk] = [await open(t, service, ann), await open(t, service, ann)];
  await signIn(phone.page);
  await press(phone.page, HEART);
  await heartIs(phone.page, true);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  await shows(desk.page, HEART, 1);
  assert.equal(await pressed(desk.page, HEART), false, 'before signing in');
  await signIn(desk.page);
  await heartIs(desk.page, true);
  await press(desk.page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 0));
  assert.deepEqual([...phone.warnings, ...desk.warnings], []);
});

test('after signing out a page uses its own id again, and nothing of the reader stays', async (t) => {
  const service = await start(t);
  const { page } = await open(t, service, () => tokenFor('ann'));
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  const stored = () => page.evaluate(() => JSON.stringify(localStorage));
  const before = await stored();
  await signIn(page);
  await heartIs(page, false);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 2));
  await heartIs(page, true);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  await signOut(page);
  await heartIs(page, true);
  assert.equal(await stored(), before);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 0));
});

test('a token is requested again shortly before it expires, and until nobody is signed in', async (t) => {
  const service = await start(t);
  let requests = 0;
  let signedIn = true;
  const { page } = await open(t, service, () => (requests++, signedIn ? tokenFor('ann') : null));
  await page.clock.install();
  await signIn(page);
  await press(page, HEART);
  await heartIs(page, true);
  assert.equal(requests, 1);
  await page.clock.fastForward(58 * 60_000);
  assert.equal(requests, 1, 'two minutes before the end');
  await page.clock.fastForward(61_000);
  await eventually(() => assert.equal(requests, 2));
  await heartIs(page, true);
  signedIn = false;
  await eventually(async () => {
    await page.clock.fastForward(60 * 60_000); // the page may not have got the second token before
    assert.equal(await pressed(page, HEART), false);
  });
  assert.equal(requests, 3);
});

test('a token that expired while the device slept is replaced, and the press is sent', async (t) => {
  const service = await start(t);
  const tokens = [tokenFor('ann', 7200), tokenFor('ann')];
  const { page } = await open(t, service, () => /** @type {string} */ (tokens.shift()));
  await signIn(page);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  await heartIs(page, true);
  assert.deepEqual(tokens, []);
});

test('on a signed-only site an anonymous reader sees numbers and a button that asks to sign in', async (t) => {
  const service = await start(t, ['--site=default=visitors=signed']);
  await fetch(`${service.url}/v1/${TOPIC}`, { method: 'POST', body: JSON.stringify({ visitor_token: tokenFor('bob') }) });
  let token = /** @type {string | null} */ (null);
  const { page, warnings } = await open(t, service, () => token);
  await signIn(page);
  await shows(page, HEART, 1);
  const button = page.locator(`${HEART} [part=sign-in]`);
  await button.waitFor();
  assert.deepEqual(warnings, []);
  await page.evaluate(() => {
    const asked = /** @type {any} */ (window).asked = /** @type {string[]} */ ([]);
    document.addEventListener('tally-sign-in', (event) => asked.push(/** @type {Element} */ (event.target).localName));
  });
  const asked = () => page.evaluate(() => /** @type {any} */ (window).asked);
  await press(page, HEART);
  await eventually(async () => assert.deepEqual(await asked(), ['tally-like']));
  await heartIs(page, false);
  await shows(page, HEART, 1);
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  await button.click();
  assert.deepEqual(await asked(), ['tally-like', 'tally-like']);
  token = tokenFor('ann');
  await signIn(page);
  await eventually(async () => assert.equal(await button.count(), 0));
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 2));
  await heartIs(page, true);
});

test('claps and polls ask an anonymous reader to sign in, and take the contribution afterwards', async (t) => {
  const service = await start(t, ['--site=default=visitors=signed']);
  let token = /** @type {string | null} */ (null);
  const { page } = await open(t, service, () => token);
  await page.evaluate(() => {
    const asked = /** @type {any} */ (window).asked = /** @type {string[]} */ ([]);
    document.addEventListener('tally-sign-in', (event) => asked.push(/** @type {Element} */ (event.target).localName));
    const make = (/** @type {string} */ name, /** @type {Record<string, string>} */ attributes) => {
      const element = document.createElement(name);
      for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
      return element;
    };
    const link = make('a', { slot: 'sign-in', href: '#login' });
    link.textContent = 'Log in to vote';
    const poll = make('tally-poll', { page: 'lunch', options: 'Pizza,Sushi' });
    poll.append(link);
    document.body.prepend(make('tally-claps', { page: 'lunch' }), poll, make('tally-reactions', { page: 'lunch' }));
  });
  await signIn(page);
  const asked = () => page.evaluate(() => /** @type {any} */ (window).asked);
  const optionsOf = async () => (await (await fetch(`${service.url}/v1/default/poll/lunch`)).json()).options.slice(0, 2);
  const claps = 'tally-claps[page=lunch]';
  const poll = 'tally-poll[page=lunch]';

  const link = page.getByRole('link', { name: 'Log in to vote' });
  await link.waitFor();
  await page.locator(`${claps} [part=sign-in]`).waitFor();
  await eventually(async () => assert.equal(await page.locator('tally-reactions[page=lunch] [part=sign-in]').count(), 1, 'reactions show one button'));
  assert.deepEqual(await asked(), []);
  await press(page, claps);
  await eventually(async () => assert.deepEqual(await asked(), ['tally-claps']));
  await shows(page, claps, 0);
  const sushi = page.getByRole('radio', { name: 'Sushi', exact: true });
  await sushi.click();
  await eventually(async () => assert.deepEqual(await asked(), ['tally-claps', 'tally-poll']));
  await eventually(async () => assert.equal(await sushi.isChecked(), false));
  assert.equal(await page.locator(`${poll} [part=sign-in]`).isVisible(), false, 'the page replaces the button');
  await link.click();
  assert.deepEqual(await asked(), ['tally-claps', 'tally-poll', 'tally-poll']);
  assert.deepEqual([await countOf(service.url, 'default/claps/lunch'), await optionsOf()], [0, [0, 0]]);

  token = tokenFor('ann');
  await signIn(page);
  await eventually(async () => assert.equal(await link.isVisible(), false));
  await press(page, claps);
  await press(page, claps);
  await sushi.click();
  await eventually(async () => assert.deepEqual([await countOf(service.url, 'default/claps/lunch'), await optionsOf()], [2, [0, 1]]));
  assert.equal(await sushi.isChecked(), true);
});

test('on an open site no button asks to sign in', async (t) => {
  const service = await start(t);
  const { page, warnings } = await open(t, service, () => null);
  await signIn(page);
  await press(page, HEART);
  await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 1));
  assert.equal(await page.locator('[part=sign-in]').count(), 0);
  assert.deepEqual(warnings, []);
});

test('a button asks to sign in although the first requests of the page failed', async (t) => {
  const service = await start(t, ['--site=default=visitors=signed']);
  const { page } = await open(t, service, () => null);
  let requests = 0;
  await page.evaluate(POST_ONLY);
  await page.route('**/v1/default/**', (route) => {
    if (++requests > 2) return route.continue();
    if (requests === 1) return route.abort();
    return route.fulfill({ status: 429, contentType: 'application/problem+json', body: '{"code":"rate_limited","detail":"Wait."}' });
  });
  await signIn(page);
  // The elements that ask while a request is in flight share its answer.
  await eventually(async () => {
    await page.evaluate(() => {
      const claps = document.createElement('tally-claps');
      claps.setAttribute('page', 'late');
      document.body.prepend(claps);
    });
    assert.ok((await page.locator('body > tally-claps [part=sign-in]').count()) > 0);
  }, 20_000);
  assert.equal(requests, 3);
});

test('no button asks to sign in before the page knows whether a reader is signed in', async (t) => {
  const service = await start(t, ['--site=default=visitors=signed']);
  /** @type {(token: string) => void} */
  let resolve = () => {};
  const token = /** @type {Promise<string>} */ (new Promise((done) => (resolve = done)));
  let isRequested = false;
  const { page } = await open(t, service, () => ((isRequested = true), token));
  const identified = signIn(page);
  await eventually(() => assert.ok(isRequested));
  /** Adds a heart and waits for its number. @param {string} name */
  const add = async (name) => {
    await page.evaluate((name) => {
      const heart = document.createElement('tally-like');
      heart.setAttribute('page', name);
      document.body.prepend(heart);
    }, name);
    await shows(page, `tally-like[page=${name}]`, 0);
  };
  for (const name of ['first', 'second', 'third']) await add(name);
  assert.equal(await page.locator('[part=sign-in]').count(), 0);
  resolve(tokenFor('ann'));
  await identified;
  await press(page, 'tally-like[page=first]');
  await eventually(async () => assert.equal(await countOf(service.url, 'default/likes/first'), 1));
  assert.equal(await page.locator('[part=sign-in]').count(), 0);
});
