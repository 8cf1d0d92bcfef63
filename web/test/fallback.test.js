/** Pages whose policy or network allows no WebSocket, in each engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clickIn, enginesOr, showsIn, startEngine } from './engines.js';
import { startSite } from './site.js';
import { assertLike, countOf } from './process.js';
import { eventually } from './wait.js';

/** @param {string} of the constructor's body */
const socket = (of) => `<script>{ const Real = WebSocket; WebSocket = class extends EventTarget { constructor() { super(); ${of} } } }</script>`;

const HEADS = {
  'a policy without ws:': '',
  'a socket whose constructor throws': socket('throw new DOMException("no", "SecurityError")'),
  'no WebSocket at all': '<script>delete window.WebSocket</script>',
  'a socket that the network refuses': socket('return new Real("ws://127.0.0.1:9/")'),
};

for (const name of enginesOr('chromium')) {
  test(`${name}: numbers are live without a socket, also in new elements`, async (t) => {
    /** @type {Record<string, import('./site.js').Site>} */
    const pages = {};
    const site = await startSite(t, pages, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const [i, [how, head]] of Object.entries(HEADS).entries()) {
      await t.test(how, async () => {
        pages['/'] = { head, body: `<tally-like id="old" page="old-${i}"></tally-like>` };
        if (!head) pages['/'].headers = { 'content-security-policy': `default-src 'none'; img-src data:; script-src ${site.api}; connect-src ${site.api}` };
        await tab.goto(site.url);
        await showsIn(tab, '#old', 0);
        await assertLike(site.service.url, `default/likes/old-${i}`, 'somebody-else');
        await showsIn(tab, '#old', 1);
        await tab.evaluate((i) => {
          addEventListener('error', ({ message }) => (document.title = message));
          addEventListener('unhandledrejection', ({ reason }) => (document.title = String(reason)));
          document.body.insertAdjacentHTML('beforeend', `<p><tally-like id="new" page="new-${i}"></tally-like></p>`);
        }, i);
        await showsIn(tab, '#new', 0);
        await clickIn(tab, '#new');
        await showsIn(tab, '#new', 1);
        await eventually(async () => assert.equal(await countOf(site.service.url, `default/likes/new-${i}`), 1));
        for (const which of ['old', 'new']) await assertLike(site.service.url, `default/likes/${which}-${i}`, 'a-third-one');
        await showsIn(tab, '#new', 2);
        await showsIn(tab, '#old', 2);
        assert.equal(await tab.evaluate(() => document.title), 'A page');
      });
    }
  });
}
