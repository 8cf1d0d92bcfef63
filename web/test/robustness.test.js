/** Unusual pages, attributes, storage and networks. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { newVisitor, numberOf, PERSON, POST_ONLY, press, pressed, remembered, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf, startService } from './process.js';
import { web } from './project.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const HEART = { body: '<tally-like page="post"></tally-like>' };

const browser = useBrowser();

test('invalid attributes are ignored, valid ones are not', async (t) => {
  const body =
    ['1,234', 'abc', '-5', '1e999', '0x10', ''].map((count, i) => `<tally-count class="bad" page="bad-${i}" count="${count}">none</tally-count>`).join(' ') +
    '<tally-count id="room" page="room" count=" 12 "></tally-count><tally-count id="huge" page="huge" count="2251799813685248"></tally-count>' +
    '<p lang="en_US"><tally-count id="tongue" page="tongue" count="1234"></tally-count>' +
    '<tally-poll page="tongue" options="A,B" count="1,3"></tally-poll><tally-rating page="tongue" count="0,1,0,0,1"></tally-rating>' +
    '<tally-vote page="tongue" count="2,1"></tally-vote></p>' +
    '<tally-claps page="post" max="many" count="3"></tally-claps><tally-reactions page="post" reactions="constructor,heart" count="heart=x"></tally-reactions>' +
    '<tally-top limit="many"></tally-top>';
  const site = await startSite(t, { '/': { body } });
  const { context, open, warnings } = await newVisitor(t, browser);
  // Only the page's own numbers.
  await context.routeWebSocket('**/v1/ws', () => {});
  const page = await open(site.url);
  await shows(page, '#room', 12);
  assert.equal(await numberOf(page, '#huge'), '2251.8T');
  assert.equal(await numberOf(page, '#tongue'), '1,234');
  const texts = (/** @type {string} */ selector) => eventually(async () => (assert.ok(await page.locator(selector).count()), page.locator(selector).allInnerTexts()));
  assert.deepEqual(await texts('tally-poll [part=result]'), ['25% · 1', '75% · 3']);
  assert.deepEqual(await texts('tally-rating [part=average]'), ['3.5']);
  assert.deepEqual(await texts('tally-vote [part=score]'), ['1']);
  assert.deepEqual(await page.locator('.bad').evaluateAll((all) => all.map((one) => one.shadowRoot?.querySelector('[part=number]')?.textContent)), Array(6).fill('‒'));
  await press(page, 'tally-claps');
  assert.equal(await numberOf(page, 'tally-claps'), '4');
  assert.equal(await page.locator('tally-reactions tally-like').count(), 2);
  // Half of a surrogate pair is invalid.
  const code = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const heart = document.createElement('tally-like');
        heart.addEventListener('tally-error', (event) => resolve(/** @type {CustomEvent} */ (event).detail.code));
        heart.setAttribute('page', 'cut \ud83d');
        document.body.append(heart);
      }),
  );
  assert.equal(code, 'bad_topic');
  assert.deepEqual(warnings, ['tallycast: bad_topic tally-like: "cut \ud83d" is not a page of this site']);
});

/** Failures of storage, as scripts that run before the page's. */
const STORAGES = {
  refused: "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })",
  full: "localStorage['tallycast:v1'] ??= JSON.stringify({ visitor: 'somebody-of-before', mine: { 'default/likes/other': 1 }, wish: {} }); Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
  spoiled: "localStorage['tallycast:v1'] = '{\"visitor'",
};

for (const [how, script] of Object.entries(STORAGES)) {
  test(`pressing works with storage that is ${how}`, async (t) => {
    const site = await startSite(t, { '/': HEART });
    const { context, open, warnings } = await newVisitor(t, browser);
    await context.addInitScript(script);
    const page = await open(site.url);
    await shows(page, 'tally-like', 0);
    for (const count of [1, 0, 1]) {
      await press(page, 'tally-like');
      await shows(page, 'tally-like', count);
      await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), count));
      assert.equal(await pressed(page, 'tally-like'), count === 1);
    }
    assert.deepEqual(warnings, []);
  });
}

test('a tab follows when another tab clears the storage', async (t) => {
  const site = await startSite(t, { '/': HEART, '/other': {} });
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  await eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
  const other = await open(`${site.url}/other`);
  await other.evaluate(() => localStorage.clear());
  await eventually(async () => assert.equal(await pressed(page, 'tally-like'), false));
  await shows(page, 'tally-like', 1);
});

test('a frame without an origin shows its number and a refusal', async (t) => {
  const pages = { '/': { body: '', tag: '' } };
  const site = await startSite(t, pages);
  const inner = `<script type=module src=${site.api}/tally.js></script><tally-like page=post count=3></tally-like>`;
  pages['/'].body = `<iframe sandbox="allow-scripts" width="400" height="200" srcdoc="${inner}"></iframe>`;
  const { context, warnings } = await newVisitor(t, browser);
  const page = await context.newPage();
  page.on('pageerror', (error) => warnings.push(String(error)));
  /** @type {string[]} */
  const logged = [];
  page.on('console', (message) => logged.push(message.text()));
  await page.goto(site.url);
  const heart = page.frameLocator('iframe').locator('tally-like');
  await eventually(async () => assert.equal(await heart.locator('[part=number]').innerText(), '3'));
  await heart.locator('button').click();
  await eventually(async () => assert.equal(await heart.locator('[role=status]').innerText(), 'Not saved'));
  assert.equal(await heart.locator('[part=number]').innerText(), '3');
  assert.ok(logged.some((text) => /^tallycast: origin_not_allowed /.test(text)), String(logged));
  assert.equal(await countOf(site.service.url, TOPIC), 0);
  assert.deepEqual(warnings, []);
});

test('a press is sent later if the service is away from the start', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-like page="post" count="41"></tally-like>' } });
  const { context } = await newVisitor(t, browser);
  let away = true;
  await context.routeWebSocket('**/v1/ws', (socket) => (away ? socket.close() : void socket.connectToServer()));
  await context.route(/\/v1\/|\/tally-/, (route) => (away ? route.abort() : route.continue()));
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-like', 41);
  await press(page, 'tally-like');
  assert.equal(await numberOf(page, 'tally-like'), '42');
  await eventually(async () => assert.match(await page.locator('tally-like [role=status]').innerText(), /sent later/));
  away = false;
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1), 40_000);
  await shows(page, 'tally-like', 1, 40_000);
  assert.equal(await pressed(page, 'tally-like'), true);
});

test('the fallback is loaded again after a failure', async (t) => {
  const site = await startSite(t, { '/': HEART });
  const { context } = await newVisitor(t, browser);
  await context.routeWebSocket('**/v1/ws', (socket) => socket.close());
  let tries = 0;
  await context.route(/\/tally-/, (route) => (++tries === 1 ? route.abort() : route.continue()));
  const page = await context.newPage();
  await page.goto(site.url);
  await shows(page, 'tally-like', 0, 40_000);
  assert.ok(tries > 1);
});

test('a date in Retry-After does not cause a request loop', async (t) => {
  const site = await startSite(t, { '/': HEART });
  const { context } = await newVisitor(t, browser);
  let requests = 0;
  await context.addInitScript(POST_ONLY);
  await context.route('**/v1/default/likes/post', (route) => {
    requests++;
    return route.fulfill({ status: 503, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT', 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Retry-After' }, body: '<h1>Sorry</h1>' });
  });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(site.url);
  await shows(page, 'tally-like', 0);
  await press(page, 'tally-like');
  await eventually(async () => assert.match(await page.locator('tally-like [role=status]').innerText(), /sent later/));
  for (let second = 0; second < 20; second++) await page.clock.runFor(1000);
  assert.equal(await pressed(page, 'tally-like'), true);
  // Random pauses double from half a second: of ten, most are seconds.
  assert.ok(requests > 1 && requests <= 25, `${requests} requests`);
});

test('moved elements keep their state and send nothing', async (t) => {
  const names = ['a', 'b', 'c'];
  const body = `<main>${names.map((name) => `<tally-like page="${name}"></tally-like>`).join('')}</main><tally-readers page="here"></tally-readers><tally-reactions page="post" reactions="heart,party"></tally-reactions>`;
  const site = await startSite(t, { '/': { body } });
  const { context, open, warnings } = await newVisitor(t, browser);
  /** @type {string[]} */
  const sent = [];
  let sockets = 0;
  context.on('page', (page) => page.on('websocket', (socket) => (sockets++, socket.on('framesent', ({ payload }) => sent.push(String(payload))))));
  const page = await open(site.url);
  for (const name of names) await shows(page, `tally-like[page=${name}]`, 0);
  await shows(page, 'tally-readers', 1);
  await shows(page, 'tally-reactions tally-like[metric=party]', 0);
  const before = sent.length;
  await page.evaluate(() => {
    const main = /** @type {Element} */ (document.querySelector('main'));
    for (const heart of [...main.children].reverse()) main.append(heart);
    document.body.append(/** @type {Element} */ (document.querySelector('tally-readers')));
  });
  await assertLike(site.service.url, 'default/likes/a', 'somebody-else');
  await shows(page, 'tally-like[page=a]', 1);
  // A focused button keeps the focus when the row changes.
  await page.locator('tally-reactions tally-like[metric=party] button').focus();
  const focused = await page.evaluate(async () => {
    const row = /** @type {any} */ (document.querySelector('tally-reactions'));
    row.label = 'Say it';
    await 0;
    return row.shadowRoot.activeElement?.getAttribute('metric');
  });
  assert.equal(focused, 'party');
  assert.deepEqual(sent.slice(before), []);
  assert.equal(sockets, 1);
  // Removing the element hides the bubble of claps.
  await page.evaluate(async () => {
    const claps = document.createElement('tally-claps');
    document.body.append(claps);
    /** @type {any} */ (claps.shadowRoot?.querySelector('button')).click();
    claps.remove();
    await 0;
    document.body.append(claps);
  });
  assert.equal(await page.locator('tally-claps [part=own]').evaluate((own) => own.className), '');
  assert.deepEqual(warnings, []);
});

test('an element removed during a request comes back pressed', async (t) => {
  const site = await startSite(t, { '/': HEART });
  const { context, open, warnings } = await newVisitor(t, browser);
  /** @type {() => void} */
  let answer = () => {};
  const held = new Promise((resolve) => (answer = () => resolve(undefined)));
  await context.routeWebSocket('**/v1/ws', (socket) => {
    const server = socket.connectToServer();
    socket.onMessage(async (message) => {
      if (String(message).startsWith('{"assert"')) await held;
      server.send(message);
    });
  });
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  await press(page, 'tally-like');
  const heart = await page.evaluateHandle(() => {
    const heart = /** @type {Element} */ (document.querySelector('tally-like'));
    heart.remove();
    return heart;
  });
  answer();
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  await heart.evaluate((heart) => document.body.append(heart));
  await shows(page, 'tally-like', 1);
  assert.equal(await pressed(page, 'tally-like'), true);
  assert.deepEqual(warnings, []);
});

test('after quick attribute changes the last one counts', async (t) => {
  const site = await startSite(t, { '/': { body: '<div id="made"></div><template><tally-like id="cloned" page="c"></tally-like></template>' } });
  for (const [i, key] of ['a', 'b', 'c'].entries()) for (let n = 0; n <= i; n++) await assertLike(site.service.url, `default/likes/${key}`, `visitor-${n}`);
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  await page.evaluate(async () => {
    const made = /** @type {Element} */ (document.querySelector('#made'));
    made.innerHTML = '<tally-like id="inner" page="a"></tally-like>';
    made.append(/** @type {HTMLTemplateElement} */ (document.querySelector('template')).content.cloneNode(true));
    const inner = /** @type {any} */ (document.querySelector('#inner'));
    const seen = /** @type {any} */ (window).seen = /** @type {any[]} */ ([]);
    inner.addEventListener('tally-load', (/** @type {CustomEvent} */ { detail }) => seen.push([inner.page, detail.count]));
    for (let i = 0; i < 30; i++) {
      inner.page = 'abc'[i % 3];
      if (i % 2) await new Promise((resolve) => (i % 4 === 1 ? queueMicrotask(() => resolve(0)) : setTimeout(resolve)));
    }
    inner.page = 'b';
  });
  await shows(page, '#inner', 2);
  await shows(page, '#cloned', 3);
  const seen = await page.evaluate(() => /** @type {any} */ (window).seen);
  assert.ok(seen.every((/** @type {[string, number]} */ [name, count]) => count === 'abc'.indexOf(name) + 1), JSON.stringify(seen));
  assert.deepEqual(warnings, []);
});

test('properties set before the script ran are applied', async (t) => {
  const early = "<script>Object.assign(document.querySelector('tally-like'), { page: 'named', count: 7, label: 'Love it' })</script>";
  const site = await startSite(t, { '/': { body: `<tally-like></tally-like>${early}` } });
  const { context, open, warnings } = await newVisitor(t, browser);
  await context.routeWebSocket('**/v1/ws', () => {});
  const page = await open(site.url);
  await shows(page, 'tally-like', 7);
  assert.equal(await page.getByRole('button', { name: 'Love it', exact: true }).count(), 1);
  await press(page, 'tally-like');
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/likes/named'), 1));
  assert.deepEqual(warnings, []);
});

test('the first of several scripts registers the elements, and all control them', async (t) => {
  const pages = { '/': { tag: '', body: '<tally-like page="post"></tally-like><tally-visitors></tally-visitors>' } };
  const site = await startSite(t, pages, { flags: ['--site=blog=*'] });
  const released = (await readFile(`${web}/released/list.txt`, 'utf8')).split('\n')[0];
  const script = (/** @type {string} */ name) => `<script type="module" src="${site.api}/${name}"></script>`;
  const other = await startService({ flags: ['--allow-origin=*'] });
  t.after(() => other.stop());
  for (const [names, warned] of /** @type {[string[], RegExp[]][]} */ ([
    [['tally.js', 'tally.js', 'tally.js?site=blog'], []],
    [[released, 'tally.js'], []],
    [['tally.js', released], []],
    [['tally.js', `../${new URL(other.url).host}`], [/are those of http:\/\/tally.example.* came later and is not used/]],
  ])) {
    pages['/'].tag = names.map((name) => (name.startsWith('..') ? `<script type="module" src="${other.url}/tally.js"></script>` : script(name))).join('');
    const { open, warnings } = await newVisitor(t, browser, { userAgent: `${PERSON} Edg/${names.join('').length}` });
    const page = await open(site.url);
    const before = await countOf(site.service.url, TOPIC);
    await shows(page, 'tally-like', before);
    await press(page, 'tally-like');
    await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), before + 1));
    // consent() works from any import of the script.
    if (names[0] === 'tally.js') {
      await page.evaluate(async (api) => (await import(`${api}/tally.js?by=another`)).consent(true), site.api);
      await eventually(async () => assert.equal((await remembered(page)).mine?.['default/visitors/site'], 1));
    }
    assert.equal(warnings.length, warned.length, `${names}: ${warnings}`);
    warned.forEach((pattern, i) => assert.match(warnings[i], pattern));
    assert.equal(await countOf(other.url, TOPIC), 0);
  }
});

test('the attribute value false means no, and a Cubot phone is not a bot', async (t) => {
  const site = await startSite(t, { '/': { body: '<tally-visitors consent="false"></tally-visitors>' }, '/local': { body: '<tally-visitors local="false"></tally-visitors>' } });
  const { open } = await newVisitor(t, browser, { userAgent: `${PERSON} CUBOT NOTE 20` });
  const page = await open(site.url);
  await shows(page, 'tally-visitors', 1);
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/visitors/site'), 1));
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  const { context } = await newVisitor(t, browser);
  /** @type {string[]} */
  const logged = [];
  context.on('console', (message) => logged.push(message.text()));
  const local = await context.newPage();
  await local.goto(`${site.url.replace('blog.example', 'localhost')}/local`);
  await eventually(() => assert.ok(logged.some((text) => text.includes('does not count this visit: localhost')), String(logged)));
});
