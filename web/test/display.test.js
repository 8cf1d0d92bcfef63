import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newVisitor, numberOf, pauseClock, pressed, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { assertUsableInAllColours } from './accessibility.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';

const browser = useBrowser();

/** Every element once, with its own content. */
const ALL =
  '<main><h1>A page</h1><p><tally-like page="post">12 likes</tally-like> <tally-claps page="post">3 claps</tally-claps></p>' +
  '<p><tally-reactions page="post">reactions</tally-reactions></p><p><tally-count page="big">123</tally-count> likes, ' +
  '<tally-visitors page="site">9</tally-visitors> visitors, <tally-readers>1</tally-readers> here</p><tally-top limit="3"><ol><li><a href="/post">A post</a></li></ol></tally-top></main>';

test('a number changes at most once a second, and ends on the newest', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-count page="post"></tally-count>' } });
  const { context } = await newVisitor(t, browser);
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await shows(page, 'tally-count', 0);
  await pauseClock(page, 2000);
  await page.evaluate(() => {
    const number = /** @type {Element} */ (document.querySelector('tally-count')?.shadowRoot?.querySelector('[part=number]'));
    const seen = /** @type {any} */ (window).seen = [number.textContent];
    new MutationObserver(() => number.textContent === seen.at(-1) || seen.push(number.textContent)).observe(number, { childList: true });
  });
  for (let i = 1; i <= 5; i++) {
    await assertLike(site.service.url, TOPIC, `visitor-${i}`);
    if (i === 1) await shows(page, 'tally-count', 1);
  }
  // The page has the fifth like when a new element, which has no pause yet, shows it.
  await eventually(async () => {
    await page.evaluate(() => {
      document.querySelector('#late')?.remove();
      document.body.append(Object.assign(document.createElement('tally-count'), { page: 'post', id: 'late' }));
    });
    await eventually(async () => assert.match(await numberOf(page, '#late'), /\d/));
    assert.equal(await numberOf(page, '#late'), '5');
  });
  assert.equal(await numberOf(page, 'tally-count'), '1');
  await page.clock.runFor(1200);
  assert.equal(await numberOf(page, 'tally-count'), '5');
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).seen), ['0', '1', '5']);
});

test('changes by others roll the number, unless motion is reduced, and are not announced', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post"></tally-like>' } });
  for (const [reducedMotion, rolls] of /** @type {const} */ ([['no-preference', 1], ['reduce', 0]])) {
    const { open } = await newVisitor(t, browser, { reducedMotion });
    const page = await open(site.url);
    const before = await countOf(site.service.url, TOPIC);
    await shows(page, 'tally-like', before);
    await page.evaluate(() => {
      const root = /** @type {ShadowRoot} */ (document.querySelector('tally-like')?.shadowRoot);
      const w = /** @type {any} */ (window);
      w.announced = [];
      new MutationObserver(() => w.announced.push(root.querySelector('[role=status]')?.textContent)).observe(/** @type {Node} */ (root.querySelector('[role=status]')), { childList: true });
      addEventListener('tally-change', () => queueMicrotask(() => (w.rolls = root.querySelector('[part=number]')?.getAnimations().length)));
    });
    await assertLike(site.service.url, TOPIC, `somebody-${reducedMotion}`);
    await shows(page, 'tally-like', before + 1);
    assert.equal(await page.evaluate('rolls'), rolls, reducedMotion);
    assert.deepEqual(await page.evaluate('announced'), []);
    assert.equal(await page.locator('tally-like [aria-live]').count(), 0);
    assert.equal(await page.locator('tally-like [part=number]').getAttribute('aria-hidden'), 'true');
  }
});

test('live="off" and pause show only own presses', async (t) => {
  const body = '<tally-like id="off" page="post" live="off"></tally-like><tally-like id="on" page="post"></tally-like><tally-top limit="3"></tally-top>';
  const site = await startSite(t, { '/': { body } });
  const { open, context } = await newVisitor(t, browser);
  /** @type {string[]} */
  const frames = [];
  context.on('page', (page) => page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(String(payload)))));
  const page = await open(site.url);
  const pause = (/** @type {boolean} */ on) =>
    page.evaluate(async ([api, on]) => (await import(`${api}/tally.js`)).pause(on), /** @type {const} */ ([site.api, on]));
  await shows(page, '#off', 0);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await shows(page, '#on', 1);
  assert.equal(await numberOf(page, '#off'), '0');
  await page.locator('#off button').click();
  await shows(page, '#off', 2);
  await shows(page, '#on', 2);
  await pause(true);
  await assertLike(site.service.url, TOPIC, 'a-third-one');
  await eventually(() => assert.ok(frames.some((frame) => frame.includes('"count":3'))));
  assert.equal(await numberOf(page, '#on'), '2');
  await pause(false);
  await shows(page, '#on', 3);
  assert.equal(await numberOf(page, '#off'), '2');
  await page.evaluate(() => document.querySelector('#off')?.removeAttribute('live'));
  await shows(page, '#off', 3);
});

test('a single-page site never shows the previous page’s number', async (t) => {
  const head = '<link rel="canonical" href="/posts/one/?b=2&amp;a=1">';
  const site = await startSite(t, { '/posts/one/': { head, body: '<tally-count id="here">one</tally-count><tally-count id="named" page="x"></tally-count>' } });
  for (const [key, likes] of /** @type {[string, number][]} */ ([['posts/one?a=1&b=2', 1], ['posts/two', 2], ['posts/three?q=1', 3], ['x', 4], ['y', 5]])) {
    for (let i = 0; i < likes; i++) await assertLike(site.service.url, `default/likes/${encodeURIComponent(key)}`, `visitor-${i}`);
  }
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(`${site.url}/posts/one/?utm=1`);
  await shows(page, '#here', 1);
  await shows(page, '#named', 4);
  // The old number is gone in the turn in which the address, or the attribute, changes.
  const go = (/** @type {string} */ path) =>
    page.evaluate(async (path) => {
      await /** @type {any} */ (window).navigation.navigate(path, { history: 'push' }).committed;
    }, path);
  await page.evaluate(() => /** @type {any} */ (window).navigation.addEventListener('navigate', (/** @type {any} */ event) => event.intercept({ handler: async () => {} })));
  await go('/posts/two/');
  await eventually(async () => assert.notEqual(await page.locator('#here [part=number]').innerText(), '1'));
  assert.equal(await page.locator('#here').evaluate((element) => element.shadowRoot?.querySelector('slot')?.hidden), true, 'the old text is gone, too');
  await shows(page, '#here', 2);
  // The framework writes the canonical link after the address.
  await go('/posts/3');
  await page.evaluate(() => document.querySelector('link[rel=canonical]')?.setAttribute('href', '/posts/three?q=1'));
  await shows(page, '#here', 3);
  const named = await page.evaluate(async () => {
    const count = /** @type {any} */ (document.querySelector('#named'));
    count.page = 'y';
    await 0;
    return count.shadowRoot.querySelector('[part=number]').textContent;
  });
  assert.equal(named, '‒');
  await shows(page, '#named', 5);
  assert.deepEqual(warnings, []);
});

test('an invalid page is reported once and keeps the element’s text', async (t) => {
  const site = await startSite(t, { '/': { body: '<script>codes=[];addEventListener("tally-error",e=>codes.push(e.detail.code))</script><tally-like page="a//b">mine</tally-like><tally-reactions page="{}">mine</tally-reactions><tally-count page="' + 'x'.repeat(257) + '">mine</tally-count>' } });
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  await eventually(async () => assert.deepEqual(await page.evaluate('codes'), ['bad_topic', 'bad_topic', 'bad_topic']));
  assert.equal((await page.locator('tally-count').innerText()).trim(), 'mine');
  assert.equal((await page.locator('tally-like').innerText()).trim(), 'mine');
  assert.equal((await page.locator('tally-reactions').innerText()).trim(), 'mine');
  assert.equal(await page.locator('tally-like button').isVisible(), false);
});

test('a shortened number is available in full to pointer, keyboard and screen reader', async (t) => {
  const site = await startSite(t, { '/': { body: '<p style="padding:4em"><tally-count page="post" count="9999"></tally-count> <tally-count id="big" page="big" count="12345"></tally-count> <tally-like page="big" count="12345"></tally-like></p>' } });
  const { context } = await newVisitor(t, browser);
  // Only the page's own numbers.
  await context.routeWebSocket('**/v1/ws', () => {});
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-count', '9,999');
  await shows(page, '#big', '12.3K');
  const exact = page.locator('#big [part=exact]');
  assert.equal(await exact.isVisible(), false);
  await page.locator('#big').hover();
  assert.equal(await exact.isVisible(), true);
  assert.equal(await exact.innerText(), '12,345');
  await page.mouse.move(0, 0);
  await page.keyboard.press('Tab');
  assert.equal(await exact.isVisible(), true, 'by keyboard');
  await page.keyboard.press('Tab');
  assert.equal(await exact.isVisible(), false);
  assert.equal(await page.locator('tally-like [part=exact]').isVisible(), true);
  assert.equal(await page.getByRole('img', { name: '12,345' }).count(), 1);
  await eventually(async () => assert.match(await page.locator('body').ariaSnapshot(), /button "Like"/));
});

test('numbers use the language of the text around them', async (t) => {
  const site = await startSite(t, { '/': { html: 'lang="de"', body: '<tally-count page="post" count="1234"></tally-count><p lang="en"><tally-count id="en" page="post" count="1234"></tally-count></p><tally-reactions page="post" count="heart=1234"></tally-reactions>' } });
  const { context } = await newVisitor(t, browser);
  await context.routeWebSocket('**/v1/ws', () => {});
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-count', '1.234');
  await shows(page, '#en', '1,234');
  await shows(page, 'tally-reactions tally-like', '1.234');
});

test('the texts can be translated, and the icon replaced', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post" label="Gefällt mir" kept="Später"><svg slot="icon" width="10" height="10"></svg></tally-like>' } });
  const { open, context } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  assert.equal(await page.getByRole('button', { name: 'Gefällt mir', exact: true }).count(), 1);
  await context.setOffline(true);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  assert.equal(await pressed(page, 'tally-like'), true);
  await eventually(async () => assert.equal(await page.locator('tally-like [role=status]').innerText(), 'Später'));
});

test('elements do not change their children, and each attribute is a property', async (t) => {
  const site = await startSite(t, { '/': { body: ALL } });
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await eventually(async () => assert.match(await (await fetch(`${site.service.url}/v1/top/default/likes`)).text(), /post/));
  const { context } = await newVisitor(t, browser);
  await context.addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      const changes = /** @type {any} */ (window).changes = /** @type {any[]} */ ([]);
      new MutationObserver((records) => changes.push(...records.map(({ type, attributeName, target }) => `${type} ${attributeName} ${target.nodeName}`)))
        .observe(document.body, { childList: true, attributes: true, characterData: true, subtree: true });
    });
  });
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-readers', 1);
  await page.locator('tally-like button').first().click();
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 2));
  await eventually(async () => assert.equal(await page.locator('tally-top ol[part=list] li').count(), 1), 12_000);
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).changes), []);
  const missing = await page.evaluate(() => {
    const names = ['like', 'claps', 'reactions', 'count', 'visitors', 'readers', 'top'];
    return names.flatMap((name) => {
      const element = /** @type {any} */ (document.createElement(`tally-${name}`));
      return element.constructor.observedAttributes.filter((/** @type {string} */ attribute) => {
        element[attribute] = 'x';
        const set = element.getAttribute(attribute) === 'x' && element[attribute] === 'x';
        element[attribute] = null;
        return !set || element.hasAttribute(attribute);
      });
    });
  });
  assert.deepEqual(missing, []);
});

test('the layout does not shift when numbers arrive', async (t) => {
  const site = await startSite(t, { '/': { body: ALL.replaceAll('page="post"', 'page="post" count="7"') } });
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  const { context } = await newVisitor(t, browser);
  await context.addInitScript(() => {
    const w = /** @type {any} */ (window);
    w.shift = [];
    new PerformanceObserver((list) => w.shift.push(...list.getEntries().map((/** @type {any} */ entry) => [entry.value, ...entry.sources.map((/** @type {any} */ s) => s.node?.nodeName)]))).observe({ type: 'layout-shift', buffered: true });
  });
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-like', 1);
  for (let i = 0; i < 5; i++) await assertLike(site.service.url, TOPIC, `visitor-${i}`);
  await shows(page, 'tally-like', 6);
  const shifts = (await page.evaluate(() => /** @type {any} */ (window).shift)).filter((/** @type {[number]} */ [value]) => value > 0.01);
  assert.deepEqual(shifts, []);
});

test('a button reserves space for an unknown number', async (t) => {
  const site = await startSite(t, { '/': { body: '<p><tally-like page="post"></tally-like><i id="after">after</i></p><tally-claps page="post"></tally-claps><i id="next">next</i>' } });
  const { context } = await newVisitor(t, browser);
  /** @type {(() => void)[]} */
  const held = [];
  let known = false;
  await context.routeWebSocket('**/v1/ws', (socket) =>
    socket.connectToServer().onMessage((message) => (known ? socket.send(message) : held.push(() => socket.send(message)))),
  );
  const page = await context.newPage();
  await page.goto(site.url);
  const places = () => page.evaluate(() => ['after', 'next'].map((id) => JSON.stringify(document.getElementById(id)?.getBoundingClientRect())));
  await eventually(async () => assert.equal(await page.locator('tally-like button').isVisible(), true));
  assert.equal(await numberOf(page, 'tally-like'), '‒');
  const before = await places();
  await eventually(() => assert.ok(held.length > 0));
  known = true;
  held.forEach((send) => send());
  await shows(page, 'tally-like', 0);
  await shows(page, 'tally-claps', 0);
  assert.deepEqual(await places(), before);
});

test('messages and full numbers stay within a narrow window', async (t) => {
  const style = '<meta name="viewport" content="width=device-width"><style>body{margin:1em}p{margin:4em 0;display:flex;justify-content:space-between}</style>';
  const body = ['start', 'end'].map((id) => `<tally-like id="${id}" page="${id}" count="123456789" live="off"></tally-like>`).join('');
  const page = { head: style, body: `<p>${body}</p>` };
  const site = await startSite(t, { '/': page, '/rtl': { ...page, html: 'lang="ar" dir="rtl"' } });
  for (const path of ['/', '/rtl']) {
    const { context } = await newVisitor(t, browser, { viewport: { width: 320, height: 400 } });
    await context.routeWebSocket('**/v1/ws', () => {});
    await context.route('**/v1/**', (route) => route.abort());
    const page = await context.newPage();
    await page.goto(site.url + path);
    for (const id of ['start', 'end']) {
      await page.locator(`#${id} button`).click();
      await eventually(async () => assert.equal(await page.locator(`#${id} [part=status]`).innerText(), 'Will be sent later'));
      await page.locator(`#${id} [part=exact]`).waitFor();
      const boxes = await Promise.all(['status', 'exact'].map((part) => page.locator(`#${id} [part=${part}]`).boundingBox()));
      const button = await page.locator(`#${id} button`).boundingBox();
      for (const box of boxes) assert.ok(box && box.x >= 0 && box.x + box.width <= 320, `${path} ${id}: ${JSON.stringify(boxes)}`);
      const [status, exact] = /** @type {any[]} */ (boxes);
      assert.ok(button && exact.y >= button.y + button.height && status.y >= 300, 'one below the button, one at the bottom of the window');
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
    }
  }
});

test('axe finds no violation in the elements: light, dark, right to left, forced colours', async (t) => {
  const pages = { '/': { body: ALL, head: '<meta name="color-scheme" content="light dark">' }, '/rtl': { body: ALL, html: 'lang="ar" dir="rtl"', head: '<meta name="color-scheme" content="light dark">' } };
  const site = await startSite(t, pages);
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  for (const path of Object.keys(pages)) {
    const { open, warnings } = await newVisitor(t, browser, { reducedMotion: 'reduce', viewport: { width: 320, height: 640 } });
    const page = await open(site.url + path);
    await eventually(async () => assert.equal(await page.locator('tally-top ol[part=list] li').count(), 1), 12_000);
    await page.locator('tally-like button').first().click();
    await page.locator('tally-claps button').click();
    await page.locator('tally-reactions button').first().click();
    await eventually(async () => assert.equal(await page.locator('tally-claps [part=own]').evaluate((own) => getComputedStyle(own).opacity), '0'));
    await assertUsableInAllColours(page, path);
    assert.deepEqual(warnings, []);
  }
});
