/**
 * Going back to a page. Firefox decides at the start of a navigation, before any event of the page, to reload a
 * page with an open connection; nothing else in the elements may cause a reload.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enginesOr, showsIn, startEngine } from './engines.js';
import { startSite } from './site.js';
import { assertLike } from './process.js';
import { eventually } from './wait.js';

const BODY = '<tally-like page="post"></tally-like><tally-readers local></tally-readers><tally-visitors local></tally-visitors>';

for (const name of enginesOr('firefox')) {
  test(`${name}: a page is current after going back to it`, async (t) => {
    const site = await startSite(t, { '/': { body: BODY }, '/next': { tag: '' } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    let likes = 0;
    /** @param {boolean} closed whether the connection is closed when the navigation starts */
    const leaveAndReturn = async (closed) => {
      await tab.goto(site.url);
      await showsIn(tab, 'tally-like', likes);
      await showsIn(tab, 'tally-readers', 1);
      await tab.evaluate((closed) => {
        addEventListener('pageshow', ({ persisted }) => (/** @type {any} */ (window).persisted = persisted));
        // Do what the script does on pagehide, and give the socket time to close.
        if (closed) dispatchEvent(new Event('pagehide'));
        setTimeout(() => (location.href = '/next'), 500);
      }, closed);
      await eventually(async () => assert.equal(await tab.evaluate(() => location.pathname), '/next'));
      await assertLike(site.service.url, 'default/likes/post', `visitor-${++likes}`);
      await tab.evaluate(() => void setTimeout(() => history.back()));
      await eventually(async () => assert.equal(await tab.evaluate(() => location.pathname), '/'));
      await showsIn(tab, 'tally-like', likes);
      await showsIn(tab, 'tally-readers', 1);
    };

    await t.test('with an open connection', () => leaveAndReturn(false));
    await t.test('with a closed connection, from the back/forward cache', async () => {
      await leaveAndReturn(true);
      assert.equal(await tab.evaluate(() => /** @type {any} */ (window).persisted), true);
    });
  });
}
