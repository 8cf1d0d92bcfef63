/** A short test for every engine. `make test` runs it in Firefox and WebKit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clickIn, enginesOr, pressedIn, showsIn, startEngine } from './engines.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, ADMIN_TOKEN, assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const BODY = '<p><tally-like page="post">?</tally-like> <tally-count page="post">?</tally-count></p>';

/** Refuses every socket, like a network that allows only plain requests. */
const NO_SOCKET = '<script>WebSocket = class extends WebSocket { constructor() { super("ws://127.0.0.1:9/"); } }</script>';

for (const name of enginesOr('firefox', 'webkit')) {
  test(`${name}: live number, press, reload, fallback, dashboard sign-in`, async (t) => {
    const site = await startSite(t, { '/': { body: BODY }, '/refused': { head: NO_SOCKET, body: BODY } }, { local: true, flags: [ADMIN_FLAG] });
    const engine = await startEngine(name, t);
    const tab = await engine.open();

    await t.test('live number', async () => {
      await tab.goto(site.url);
      await showsIn(tab, 'tally-like', 0);
      await assertLike(site.service.url, TOPIC, 'somebody-else');
      await showsIn(tab, 'tally-like', 1);
      await showsIn(tab, 'tally-count', 1);
    });

    await t.test('press', async () => {
      assert.equal(await pressedIn(tab, 'tally-like'), false);
      await clickIn(tab, 'tally-like');
      await showsIn(tab, 'tally-like', 2);
      await showsIn(tab, 'tally-count', 2);
      assert.equal(await pressedIn(tab, 'tally-like'), true);
      await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 2));
    });

    await t.test('reload', async () => {
      await tab.reload();
      await showsIn(tab, 'tally-like', 2);
      assert.equal(await pressedIn(tab, 'tally-like'), true);
    });

    await t.test('fallback without WebSocket', async () => {
      await tab.goto(`${site.url}/refused`);
      await showsIn(tab, 'tally-count', 2);
      await assertLike(site.service.url, TOPIC, 'a-third-one');
      await showsIn(tab, 'tally-count', 3);
      await clickIn(tab, 'tally-like');
      await showsIn(tab, 'tally-count', 2);
      await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 2));
    });

    await t.test('dashboard sign-in', async () => {
      await tab.goto(`${site.service.url}/admin/`);
      const heading = () => tab.evaluate(() => document.querySelector('h1')?.textContent);
      await eventually(async () => assert.equal(await heading(), 'Sign in'));
      await tab.type(`${ADMIN_TOKEN}\n`);
      await eventually(async () => assert.equal(await heading(), 'Overview'));
      await eventually(async () => assert.equal(await tab.evaluate(() => document.querySelectorAll('.plot canvas').length), 1));
    });
  });
}
