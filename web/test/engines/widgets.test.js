/** The elements and the dashboard in other engines than Chromium. `make test-all` runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POST_ONLY } from '../browser.js';
import { clickIn, enginesOr, hoverIn, numberIn, pressedIn, showsIn, startEngine } from '../engines.js';
import { startSite } from '../site.js';
import { ADMIN_FLAG, ADMIN_TOKEN, assertLike, countOf, freePort, startService } from '../process.js';
import { eventually } from '../wait.js';

const HEART = '<tally-like page="post">?</tally-like>';

/** Lets the test block the page's presses: `offline = true`. */
const SWITCH = `<script>${POST_ONLY} { const send = fetch; fetch = (...all) => (window.offline ? Promise.reject(new TypeError("offline")) : send(...all)); }</script>`;

for (const name of enginesOr('firefox', 'webkit')) {
  test(`${name}`, async (t) => {
    const site = await startSite(
      t,
      {
        '/': { body: HEART, head: SWITCH },
        '/claps': { body: '<p style="margin:4em"><tally-claps page="post"></tally-claps></p>' },
        '/reactions': { body: '<tally-reactions page="post" reactions="heart=Love it,rocket"></tally-reactions>' },
        '/audience': { body: '<tally-visitors local></tally-visitors> <tally-readers local></tally-readers>' },
        '/top': { body: '<tally-top metric="wow" limit="3"><a href="/one" data-page="one">A title of its own</a></tally-top>' },
        '/languages': {
          body: ['en', 'de', 'C', 'en_US', 'x', '', 'constructor', '__proto__', 'de-CH-1996-u-nu-thai', 'a'.repeat(9)]
            .map((lang, i) => `<p lang="${lang}"><tally-count id="n${i}" page="languages" live="off" count="1234"></tally-count> <tally-count id="m${i}" page="languages/large" live="off" count="123456"></tally-count></p>`)
            .join(''),
        },
      },
      { local: true, flags: [ADMIN_FLAG, '--rate-limit=off', '--topic-limit=off', '--new-topic-limit=off'] },
    );
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    const url = site.service.url;

    await t.test('two visitors see each other’s presses', async () => {
      const other = await engine.open();
      for (const each of [tab, other]) await each.goto(site.url);
      for (const each of [tab, other]) await showsIn(each, 'tally-like', 0);
      await clickIn(tab, 'tally-like');
      for (const each of [tab, other]) await showsIn(each, 'tally-like', 1);
      await clickIn(other, 'tally-like');
      for (const each of [tab, other]) await showsIn(each, 'tally-like', 2);
      await clickIn(tab, 'tally-like');
      for (const each of [tab, other]) await showsIn(each, 'tally-like', 1);
      assert.deepEqual([await pressedIn(tab, 'tally-like'), await pressedIn(other, 'tally-like')], [false, true]);
      await other.close();
    });

    await t.test('a press while offline shows a message and is sent later', async () => {
      await tab.goto(site.url);
      await showsIn(tab, 'tally-like', 1);
      await tab.evaluate(() => void (/** @type {any} */ (window).offline = true));
      await clickIn(tab, 'tally-like');
      await showsIn(tab, 'tally-like', 2);
      const said = () => tab.evaluate(() => document.querySelector('tally-like')?.shadowRoot?.querySelector('[role=status]')?.textContent);
      await eventually(async () => assert.equal(await said(), 'Will be sent later'));
      assert.equal(await countOf(url, 'default/likes/post'), 1);
      await tab.evaluate(() => void (/** @type {any} */ (window).offline = false));
      await eventually(async () => assert.equal(await countOf(url, 'default/likes/post'), 2), 20_000);
      assert.equal(await pressedIn(tab, 'tally-like'), true);
    });

    await t.test('by keyboard', async () => {
      const fresh = await engine.open();
      await fresh.goto(site.url);
      await showsIn(fresh, 'tally-like', 2);
      await fresh.type('\t');
      await fresh.type('\n');
      await showsIn(fresh, 'tally-like', 3);
      await fresh.close();
    });

    await t.test('going back to a page: its number is live', async () => {
      await tab.goto(site.url);
      await showsIn(tab, 'tally-like', 3);
      await tab.goto(`${site.url}/claps`);
      await showsIn(tab, 'tally-claps', 0);
      await tab.evaluate(() => setTimeout(() => history.back()));
      await eventually(async () => assert.equal(await numberIn(tab, 'tally-like'), '3'));
      await assertLike(url, 'default/likes/post', 'a-visitor-after-back');
      await showsIn(tab, 'tally-like', 4);
    });

    await t.test('claps: a held button repeats, and all claps are sent at once', async () => {
      await tab.goto(`${site.url}/claps`);
      await showsIn(tab, 'tally-claps', 0);
      await hoverIn(tab, 'tally-claps');
      await tab.down();
      await eventually(async () => assert.ok(Number(await numberIn(tab, 'tally-claps')) >= 5));
      await tab.up();
      const given = Number(await numberIn(tab, 'tally-claps'));
      await eventually(async () => assert.equal(await countOf(url, 'default/claps/post'), given));
      await tab.reload();
      await showsIn(tab, 'tally-claps', given);
    });

    await t.test('reactions: each has its own count', async () => {
      await tab.goto(`${site.url}/reactions`);
      const click = async (/** @type {string} */ metric) => {
        const at = await tab.evaluate((metric) => {
          const { x, y, width, height } = /** @type {Element} */ (document.querySelector('tally-reactions')?.shadowRoot?.querySelector(`tally-like[metric=${metric}]`)).getBoundingClientRect();
          return { x: Math.round(x + width / 2), y: Math.round(y + height / 2) };
        }, metric);
        await tab.move(at.x, at.y);
        await tab.down();
        await tab.up();
      };
      await eventually(async () => assert.equal(await tab.evaluate(() => document.querySelector('tally-reactions')?.shadowRoot?.querySelectorAll('tally-like').length), 2));
      await click('rocket');
      await eventually(async () => assert.equal(await countOf(url, 'default/rocket/post'), 1));
      assert.equal(await countOf(url, 'default/heart/post'), 0);
    });

    await t.test('visitors and readers', async () => {
      await tab.goto(`${site.url}/audience`);
      await showsIn(tab, 'tally-readers', 1);
      const other = await engine.open();
      await other.goto(`${site.url}/audience`);
      await showsIn(tab, 'tally-readers', 2);
      await showsIn(tab, 'tally-visitors', 1);
      await other.close();
      await eventually(async () => assert.equal(await numberIn(tab, 'tally-readers'), '1'), 15_000);
    });

    await t.test('most liked', async () => {
      for (const [key, likes] of /** @type {[string, number][]} */ ([['one', 1], ['two', 2]])) for (let i = 0; i < likes; i++) await assertLike(url, `default/wow/${key}`, `visitor-number-${i}`);
      await tab.goto(`${site.url}/top`);
      const rows = () => tab.evaluate(() => [...(document.querySelector('tally-top')?.shadowRoot?.querySelectorAll('li') ?? [])].map((row) => [row.querySelector('a')?.textContent, row.querySelector('tally-count')?.shadowRoot?.querySelector('[part=number]')?.textContent].join()));
      await eventually(async () => assert.deepEqual(await rows(), ['two,2', 'A title of its own,1']), 20_000);
    });

    await t.test('valid and invalid languages', async () => {
      await tab.goto(`${site.url}/languages`);
      for (const [i, short] of /** @type {[number, string | RegExp][]} */ ([[0, '1,234'], [1, '1.234'], [2, /^1.?234$/], [3, /^1.?234$/], [4, /^1.?234$/], [5, /^1.?234$/], [6, /^1.?234$/], [7, /^1.?234$/], [8, /^๑.?๒๓๔$/], [9, /^1.?234$/]])) {
        await eventually(async () => assert.match(String(await numberIn(tab, `#n${i}`)), short instanceof RegExp ? short : new RegExp(`^${short.replace('.', '\\.')}$`)));
        await eventually(async () => assert.ok(await numberIn(tab, `#m${i}`)));
      }
      assert.deepEqual(await tab.evaluate(() => ['role', 'aria-label'].map((name) => document.querySelector('#m0')?.shadowRoot?.querySelector('[part=number]')?.getAttribute(name))), ['img', '123,456']);
    });

    await t.test('the page reconnects to the service', async () => {
      const port = await freePort();
      const own = await startService({ port, flags: ['--demo'] });
      t.after(() => own.stop()); // a service that still runs would keep this file from ending
      const heart = 'tally-like[page=hello]';
      await tab.goto(own.url);
      await showsIn(tab, heart, 0);
      const status = () => tab.evaluate(() => document.querySelector('#status')?.getAttribute('data-status'));
      await eventually(async () => assert.equal(await status(), 'live'), 40_000);
      await own.stop();
      await eventually(async () => assert.equal(await status(), 'away'));
      const second = await startService({ port, flags: ['--demo'] });
      t.after(() => second.stop());
      await eventually(async () => assert.equal(await status(), 'live'), 40_000);
      await assertLike(second.url, 'default/likes/hello', 'somebody-else');
      await showsIn(tab, heart, 1);
    });

    for (const lang of name === 'webkit' ? ['en_US.UTF-8', 'C.UTF-8'] : ['en_US.UTF-8']) {
      await t.test(`dashboard with LANG=${lang}`, async () => {
        const owner = await engine.open({ lang });
        await owner.goto(`${url}/admin/`);
        const heading = () => owner.evaluate(() => document.querySelector('h1')?.textContent);
        await eventually(async () => assert.equal(await heading(), 'Sign in'));
        await owner.type(`${ADMIN_TOKEN}\n`);
        await eventually(async () => assert.equal(await heading(), 'Overview'));
        await eventually(async () => assert.match(String(await owner.evaluate(() => document.querySelector('.plot + .hint')?.textContent)), /in this period/), 20_000);
        const plot = () => owner.evaluate(() => [document.querySelectorAll('.plot canvas').length, /** @type {HTMLElement | null} */ (document.querySelector('.plot'))?.hidden]);
        // uPlot formats numbers in the browser's language, which may be invalid.
        if (lang === 'C.UTF-8' && (await owner.evaluate(() => navigator.language)) === 'C') await eventually(async () => assert.deepEqual(await plot(), [0, true]));
        else await eventually(async () => assert.deepEqual(await plot(), [1, false]));
        for (const [view, title] of [['topics', 'Topics'], ['spikes', 'Spikes'], ['people', 'Visitors'], ['log', 'Audit log']]) {
          await owner.evaluate((view) => void (location.hash = `#/${view}`), view);
          await eventually(async () => assert.equal(await heading(), title));
        }
        await owner.close();
      });
    }
  });
}
