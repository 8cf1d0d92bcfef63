import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { live, newVisitor, press, SCREENS, shows, STILL, useBrowser } from './browser.js';
import { assertLike, countOf, startService } from './process.js';
import { assertUsable } from './accessibility.js';
import { eventually } from './wait.js';

const PAGES = ['/', '/demo/', '/gallery'];

/** The folder for screenshots of the pages, if any. */
const { SCREENSHOTS } = process.env;

const browser = useBrowser();
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;

before(async () => void (service = await startService({ basePath: '/tally' })));
after(() => service?.stop());

const at = (/** @type {string} */ path) => service.url + path;

test('fifty hearts share one connection', async (t) => {
  const { context, open, warnings } = await newVisitor(t, browser, { ...STILL, viewport: { width: 1280, height: 4000 } });
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
  assert.equal(await page.locator('.items tally-like').count(), 50);
  await assertLike(service.url, 'default/likes/pleasures/someone-else', 'somebody-else');
  await shows(page, '.items li:last-child tally-like', 1);
  await assertLike(service.url, 'default/likes/pleasures/first-coffee', 'somebody-else');
  await shows(page, '.items li:first-child tally-like', 1);
  assert.equal(sockets.length, 1);
  assert.match(sockets[0], /\/tally\/v1\/ws$/, 'no topic in the URL');
  assert.equal(sent.length, 1, 'all topics in one message');
  assert.equal(JSON.parse(sent[0]).subscribe.length, 51);
  assert.deepEqual(warnings, []);
});

test('hearts far from the viewport subscribe when they come near', async (t) => {
  const { context } = await newVisitor(t, browser, { ...STILL, viewport: { width: 800, height: 400 } });
  const page = await context.newPage();
  /** @type {string[]} */
  const subscribed = [];
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => subscribed.push(...(JSON.parse(String(payload)).subscribe ?? []))));
  await page.goto(at('/demo/'));
  await live(page);
  assert.ok(subscribed.length < 50, `${subscribed.length} topics`);
  await page.locator('.items li:last-child').scrollIntoViewIfNeeded();
  await eventually(() => assert.ok(subscribed.includes('default/likes/pleasures/someone-else')));
});

test('without JavaScript the heart is a form that returns to the page', async (t) => {
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

test('axe finds no violation: light, dark, wide, narrow', async (t) => {
  const { open } = await newVisitor(t, browser, STILL);
  for (const path of PAGES) {
    const page = await open(at(path));
    await live(page);
    await press(page, 'tally-like');
    for (const { colorScheme, width, height, visual } of SCREENS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      await assertUsable(page, `${path} ${colorScheme} ${width}`, { visual });
      if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${path.replaceAll('/', '') || 'article'}-${colorScheme}-${width}.png`) });
    }
  }
});

test('the pages obey their policy and load nothing from other origins', async (t) => {
  for (const path of PAGES) {
    const { context, warnings } = await newVisitor(t, browser);
    await context.addInitScript(() => {
      const violations = /** @type {any} */ (window).violations = /** @type {string[]} */ ([]);
      addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`), true);
    });
    /** @type {Set<string>} */
    const origins = new Set();
    context.on('request', (request) => origins.add(new URL(request.url()).origin));
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && warnings.push(message.text()));
    const response = await page.goto(at(path));
    const policy = (await response?.headerValue('content-security-policy')) ?? '';
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
    await live(page);
    await press(page, 'tally-like');
    await page.locator('#theme').click();
    await eventually(async () => assert.notEqual(await page.locator('tally-like [part=number]').first().innerText(), '0'));
    assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).violations), []);
    assert.deepEqual(warnings, []);
    assert.deepEqual([...origins], [new URL(service.url).origin]);
    await page.close();
  }
});

test('the chosen theme is kept, and the second window shows the same page', async (t) => {
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

/** The gallery shows an element with an invalid page, which the console reports. */
const unexpected = (/** @type {string} */ text) => !text.includes('"no//page"');

test('the gallery’s embed code, policy and flags are correct', async (t) => {
  const { open, warnings } = await newVisitor(t, browser, { ...STILL, permissions: ['clipboard-read', 'clipboard-write'] });
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
  assert.equal(await text('badge'), `<img src="${service.url}/badge/default/likes/gallery.svg" alt="Likes">`);
  assert.equal(await text('policy'), `script-src ${origin};\nconnect-src ${origin} ${origin.replace('http', 'ws')};`);
  await page.locator('[name=pin]').check();
  const pinned = /src="([^"?]+)\?site=example"\n  integrity="([^"]+)" crossorigin/.exec((await text('tag')) ?? '');
  assert.ok(pinned);
  const script = Buffer.from(await (await fetch(pinned[1])).arrayBuffer());
  assert.equal(pinned[2], `sha384-${createHash('sha384').update(script).digest('base64')}`);
  await page.locator('.result .copy').first().click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text('tag'));
  // The controls apply to the elements and to the style sheet.
  await page.locator('[name="--tally-radius"]').fill('3');
  assert.match((await text('css')) ?? '', /--tally-radius: 3px;/);
  const radius = () => page.locator('.samples tally-claps button').first().evaluate((button) => getComputedStyle(button).borderRadius);
  assert.equal(await radius(), '3px');
  await page.locator('.theming [type=reset]').click();
  assert.notEqual(await radius(), '3px');
  assert.deepEqual(warnings.filter(unexpected), []);
});

test('the gallery’s form rejects what the service rejects', async (t) => {
  const { open, warnings } = await newVisitor(t, browser, STILL);
  const page = await open(at('/gallery'));
  /** Fills a field, and returns what the form shows at once. @param {string} name @param {string} value */
  const fill = (name, value) =>
    page.evaluate(
      ([name, value]) => {
        const field = /** @type {HTMLInputElement} */ (document.querySelector(`#builder [name=${name}]`));
        field.value = value;
        field.dispatchEvent(new InputEvent('input', { bubbles: true }));
        const [error, tag, flag] = ['form-error', 'tag', 'flag'].map((id) => /** @type {HTMLElement} */ (document.getElementById(id)).innerText);
        return { error, tag, flag, invalid: field.ariaInvalid, shown: document.querySelector('#builder .result')?.checkVisibility() };
      },
      [name, value],
    );
  const usual = { origin: 'https://blog.example.com', site: 'blog', page: '' };
  for (const [name, value] of Object.entries(usual)) await fill(name, value);
  for (const [name, value, why] of /** @type {[keyof typeof usual, string, RegExp][]} */ ([
    ['site', 'My Blog!', /site’s name/],
    ['site', 'blog=x', /site’s name/],
    ['site', '-blog', /site’s name/],
    ['site', 'admin', /site’s name/],
    ['site', 'b'.repeat(33), /site’s name/],
    ['origin', 'blog.example.com', /address such as/],
    ['origin', 'javascript:alert(1)', /address such as/],
    ['origin', '', /address such as/],
    ['page', 'a//b', /empty part/],
    ['page', '../a', /empty part/],
    ['page', 'a/{b}', /brace/],
    ['page', 'a\u0007', /control/],
    ['page', 'caf%E9', /percent/],
    ['page', 'é'.repeat(129), /256 bytes/],
    ['page', 'https://other.example/a', /not on https:\/\/blog\.example\.com/],
  ])) {
    const wrong = await fill(name, value);
    assert.match(wrong.error, why, value);
    assert.deepEqual([wrong.invalid, wrong.shown], ['true', false], value);
    const right = await fill(name, usual[name]);
    assert.deepEqual([right.error, right.invalid, right.shown], ['', null, true], value);
  }
  for (const [name, value, shown] of /** @type {[keyof typeof usual, string, string][]} */ ([
    ['page', 'posts/café', '<tally-like page="posts/café">'],
    ['page', 'https://blog.example.com/posts/caf%C3%A9/', '<tally-like page="https://blog.example.com/posts/caf%C3%A9/">'],
    ['page', '<b>&"', '<tally-like page="&lt;b>&amp;&quot;">'],
    ['site', 'default', 'tally.js"></script>'],
    ['site', '', 'tally.js"></script>'],
  ])) {
    assert.ok((await fill(name, value)).tag.includes(shown), value);
    await fill(name, usual[name]);
  }
  // By hand, as a person does.
  await page.locator('#builder [name=site]').fill('');
  assert.equal(await page.locator('#flag').innerText(), 'tallycast --allow-origin https://blog.example.com');
  assert.deepEqual(warnings.filter(unexpected), []);
});

test('the gallery’s form previews each element', async (t) => {
  const { open } = await newVisitor(t, browser, STILL);
  const page = await open(at('/gallery'));
  const element = page.locator('#builder [name=element]');
  const preview = page.locator('#preview > *');
  for (const name of ['like', 'claps', 'reactions', 'count', 'visitors', 'readers', 'top']) {
    await element.selectOption(name);
    assert.equal(await preview.evaluate((shown) => shown.localName), `tally-${name}`);
    await page.locator('#preview').scrollIntoViewIfNeeded();
    await eventually(async () => assert.ok(await preview.evaluate((shown) => !!shown.shadowRoot?.querySelector('ol,[part=row],[part=number]:not([hidden])'))));
    const audience = name === 'visitors' || name === 'readers';
    for (const each of await page.locator('#builder .only-audience').all()) assert.equal(await each.isVisible(), audience, name);
    if (!audience) continue;
    await page.locator('#builder [name=local]').check();
    await page.locator('#builder [name=scope]').selectOption('page');
    assert.match(await page.locator('#tag').innerText(), new RegExp(`<tally-${name} scope="page" local></tally-${name}>`));
    await page.locator('#builder [name=local]').uncheck();
    await page.locator('#builder [name=scope]').selectOption('');
  }
  assert.match(await page.locator('.result').innerText(), /--demo=false takes this gallery/);
});

test('the gallery’s copy buttons are visible and cover no code', async (t) => {
  // A wide and a narrow screen.
  for (const { width, height } of SCREENS.slice(0, 2)) {
    const { open } = await newVisitor(t, browser, { ...STILL, viewport: { width, height }, hasTouch: width < 500 });
    const page = await open(at('/gallery'));
    const covered = await page.evaluate(() =>
      [...document.querySelectorAll('.copy')].map((button) => {
        const box = button.getBoundingClientRect();
        const range = document.createRange();
        range.selectNodeContents(/** @type {Element} */ (button.parentElement?.querySelector('code')));
        const over = [...range.getClientRects()].some((line) => line.left < box.right && line.right > box.left && line.top < box.bottom && line.bottom > box.top);
        return !over && box.height >= 24 && getComputedStyle(button).opacity === '1';
      }),
    );
    assert.ok(covered.length > 5 && covered.every(Boolean), `${width} px: ${covered}`);
  }
});

test('the gallery’s elements are live and can be paused', async (t) => {
  const { open } = await newVisitor(t, browser, { ...STILL, viewport: { width: 1280, height: 8000 } });
  const page = await open(at('/gallery'));
  await live(page);
  // Other tests may have pages open, too.
  for (const name of ['readers', 'visitors']) {
    await eventually(async () => assert.ok(Number(await page.locator(`.samples tally-${name} [part=number]`).first().innerText()) >= 1));
  }
  await page.locator('#pause').click();
  assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
  const before = await page.locator('.samples tally-count [part=number]').first().innerText();
  await assertLike(service.url, 'default/likes/gallery', 'somebody-else');
  await page.locator('#pause').click();
  await shows(page, '.samples tally-count', Number(before) + 1);
});
