/** The owner's dashboard: sessions, visitors, tokens, accessibility, policy. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertUsable } from './accessibility.js';
import { newVisitor, SCREENS } from './browser.js';
import { useDashboard } from './dashboard.js';
import { ADMIN_TOKEN, assertLike, countOf } from './process.js';

const VIEWS = ['', 'topics', 'spikes', 'people', 'log', 'tokens'];

/** The folder for screenshots of the views, if any. */
const { SCREENSHOTS } = process.env;

const dashboard = useDashboard();

test('session: sign in, wrong token, second tab, sign out', async (t) => {
  const { page, context } = await dashboard.open(t, { token: 'a-token-that-is-not-the-owners' });
  await page.getByRole('alert').filter({ hasText: 'not the admin token' }).waitFor();
  assert.equal(await page.getByRole('navigation').isVisible(), false);
  await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/tally/admin']);
  assert.ok(!cookie.value.includes(ADMIN_TOKEN));
  assert.equal(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie])), '[{},{},""]', 'scripts cannot read the session');
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  // Another tab signs in: this page's CSRF secret is outdated.
  assert.equal(await page.evaluate(async (token) => (await fetch('v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) })).status, ADMIN_TOKEN), 204);
  await page.goto(`${dashboard.url}/admin/#/people`);
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-never-came');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await page.getByRole('button', { name: 'Forget', exact: true }).click();
  await page.locator('#toast').filter({ hasText: '0 contributions removed.' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Admin token').waitFor();
  await page.reload();
  await page.getByLabel('Admin token').waitFor();
});

test('visitors: block, unblock, forget', async (t) => {
  await assertLike(dashboard.url, 'blog/likes/people', 'a-visitor-who-leaves');
  const { page, warnings } = await dashboard.open(t, { view: 'people' });
  const dialog = page.getByRole('dialog');
  await page.getByText('Nothing is blocked.').waitFor();
  await page.getByLabel('Address range or visitor id').fill('203.0.113.0/24');
  await page.getByLabel('Reason').fill('A click farm');
  await page.getByRole('button', { name: 'Block…' }).click();
  await dialog.getByText('refuses new contributions', { exact: false }).waitFor();
  const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/v1/blocks'));
  await dialog.getByRole('button', { name: 'Block' }).click();
  assert.deepEqual((await sent).postDataJSON(), { range: '203.0.113.0/24', reason: 'A click farm' }); // the release 0.2.0 has no site
  await page.getByRole('row', { name: '203.0.113.0/24' }).getByText('A click farm').waitFor();
  assert.deepEqual((await dashboard.call('GET', 'blocks')).blocks, [{ range: '203.0.113.0/24', reason: 'A click farm' }]);
  await page.getByRole('button', { name: 'Unblock… 203.0.113.0/24' }).click();
  await dialog.getByRole('button', { name: 'Unblock' }).click();
  await page.getByText('Nothing is blocked.').waitFor();
  await page.getByLabel(/^Visitor/).fill('a-visitor-who-leaves');
  await page.getByRole('button', { name: 'Forget…' }).click();
  await dialog.getByRole('button', { name: 'Forget' }).click();
  await page.locator('#toast').filter({ hasText: '1 contribution removed.' }).waitFor();
  assert.equal(await countOf(dashboard.url, 'blog/likes/people'), 0);
  assert.deepEqual(warnings(), []);
});

test('tokens: create, use, revoke', async (t) => {
  await dashboard.like('blog/likes/token', 2);
  const { page, warnings } = await dashboard.open(t, { view: 'tokens' });
  await page.getByText('No tokens yet.').waitFor();
  await page.getByLabel('Name').fill('editorial');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('Choose at least one site.').waitFor();
  await page.getByLabel('blog', { exact: true }).check();
  await page.getByRole('button', { name: 'Create' }).click();
  const token = await page.getByRole('dialog').getByLabel('Token').inputValue();
  assert.match(token, /^tally_/);
  await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click();
  await page.getByRole('row', { name: 'editorial' }).getByText('viewer').waitFor();
  assert.equal(await page.getByText(token).count(), 0, 'the token is shown once');

  const viewer = await dashboard.open(t, { token });
  await viewer.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  assert.deepEqual(await viewer.page.locator('#nav a:visible').allInnerTexts(), ['Overview', 'Topics', 'Spikes', 'Audit log']);
  assert.equal(await viewer.page.getByRole('heading', { name: 'Instances' }).count(), 0);
  await viewer.page.goto(`${dashboard.url}/admin/#/topics?site=blog&metric=likes&prefix=token`);
  await viewer.page.getByRole('row', { name: 'blog/likes/token' }).waitFor();
  assert.equal(await viewer.page.getByRole('button', { name: /^(Edit|Export|Delete)/ }).count(), 0);
  // The address of a view that the token may not see shows the overview.
  await viewer.page.goto(`${dashboard.url}/admin/#/tokens`);
  await viewer.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  assert.deepEqual(viewer.warnings(), []);

  await page.getByRole('button', { name: 'Revoke… editorial' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('No tokens yet.').waitFor();
  await viewer.page.goto(`${dashboard.url}/admin/#/log`);
  await viewer.page.getByLabel('Admin token').waitFor();
  assert.deepEqual(warnings(), []);
});

test('accessibility: every view, light and dark, desktop and phone', async (t) => {
  await dashboard.like('blog/likes/a-post-with-a-name-that-is-rather-long/and-has-segments', 50, 'machine');
  await dashboard.call('POST', 'blocks', { range: '198.51.100.0/24', reason: 'A click farm' });
  t.after(() => dashboard.call('DELETE', 'blocks', { range: '198.51.100.0/24' }));
  await dashboard.call('POST', 'tokens', { name: 'editorial', role: 'editor', sites: ['blog', 'default'] });
  t.after(() => dashboard.call('DELETE', 'tokens/editorial'));
  // One page for each width: the colours change in place.
  for (const width of new Set(SCREENS.map((screen) => screen.width))) {
    const screens = SCREENS.filter((screen) => screen.width === width);
    /** @param {import('playwright-core').Page} page @param {string} view */
    const examine = async (page, view) => {
      for (const { colorScheme, visual } of screens) {
        await page.emulateMedia({ colorScheme });
        const what = `${view}-${colorScheme}-${width}`;
        await assertUsable(page, what, { visual });
        if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `admin-${what}.png`), fullPage: view === 'overview' });
      }
    };
    const options = { viewport: { width, height: screens[0].height }, reducedMotion: /** @type {const} */ ('reduce') };
    const { open } = await newVisitor(t, dashboard.browser, options);
    const page = await open(`${dashboard.url}/admin/`);
    await page.getByLabel('Admin token').waitFor();
    await examine(page, 'signin');
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    for (const view of VIEWS) {
      await page.goto(`${dashboard.url}/admin/#/${view}`);
      await page.locator({ '': '.top li .count', topics: 'tbody tr', spikes: '.spikes li', people: 'tbody tr', log: 'tbody tr', tokens: 'tbody tr' }[view] ?? '').first().waitFor();
      if (!view) await page.locator('.plot canvas').waitFor();
      await examine(page, view || 'overview');
    }
    await page.goto(`${dashboard.url}/admin/#/topics`);
    await page.getByRole('button', { name: /^Edit/ }).first().click();
    await page.getByRole('radio', { name: 'Reset' }).check();
    await examine(page, 'edit');
  }
});

test('content security policy: no violation, no foreign request', async (t) => {
  const { context, open } = await newVisitor(t, dashboard.browser);
  await context.addInitScript(() => {
    const violations = /** @type {any} */ (window).violations = /** @type {string[]} */ ([]);
    addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`), true);
  });
  /** @type {string[]} */
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const page = await open(`${dashboard.url}/admin/`);
  await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
  await page.keyboard.press('Enter');
  await page.locator('.plot canvas').waitFor();
  await page.locator('.top .count').first().waitFor();
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).violations), []);
  assert.deepEqual(asked.filter((url) => !url.startsWith(dashboard.url)), []);
});
