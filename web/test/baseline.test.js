/** The oldest supported browsers: simulated by a Chromium without newer features, and by checks of the style sheets. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { newerMembers, newerStyles } from './baseline.js';
import { live, newVisitor, press, pressed, shows, STILL, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { ADMIN_FLAG, ADMIN_TOKEN, assertLike, countOf } from './process.js';
import { web } from './project.js';
import { eventually } from './wait.js';

const browser = useBrowser();

/**
 * Makes a visitor whose browser lacks every global and member newer than the baseline, and light-dark().
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
async function newOldVisitor(t, options) {
  const visitor = await newVisitor(t, browser, options);
  await visitor.context.addInitScript((members) => {
    const global = /** @type {any} */ (globalThis);
    const remove = (/** @type {any} */ owner, /** @type {string} */ name) => Object.hasOwn(Object(owner), name) && Reflect.deleteProperty(owner, name);
    // Remove members before the globals that have them.
    for (const path of members.sort((a, b) => b.length - a.length)) {
      const [name, isStatic] = String(path.at(-1)).split('_');
      const owner = path.slice(0, -1).reduce((at, each) => Object(at)[each], global);
      if (path[0] === 'Window') remove(global, name);
      if (owner === undefined) continue;
      remove(owner, name);
      if (!isStatic) remove(owner.prototype, name);
    }
    const { replaceSync } = CSSStyleSheet.prototype;
    CSSStyleSheet.prototype.replaceSync = function (text) {
      return replaceSync.call(this, text.replaceAll('light-dark(', 'newer('));
    };
  }, newerMembers());
  await visitor.context.route('**/*.css', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll('light-dark(', 'newer(').replaceAll(':has(', ':newer(') });
  });
  return visitor;
}

test('the simulated baseline browser lacks newer features', async (t) => {
  const site = await startSite(t, { '/': {} });
  const { open } = await newOldVisitor(t);
  const page = await open(site.url);
  const left = await page.evaluate(() => {
    const all = /** @type {any} */ ({
      'Promise.withResolvers': Promise.withResolvers,
      'Element.ariaPressed': Object.getOwnPropertyDescriptor(Element.prototype, 'ariaPressed'),
      'Element.role': Object.getOwnPropertyDescriptor(Element.prototype, 'role'),
      'URLSearchParams.size': Object.getOwnPropertyDescriptor(URLSearchParams.prototype, 'size'),
      'Set.union': /** @type {any} */ (Set.prototype).union,
      'Iterator.map': /** @type {any} */ ([].values()).map,
      'navigation': /** @type {any} */ (globalThis).navigation,
    });
    return Object.keys(all).filter((name) => all[name]);
  });
  assert.deepEqual(left, []);
});

test('the elements work in the baseline', async (t) => {
  const body =
    '<tally-like page="post"></tally-like><tally-claps page="post"></tally-claps><tally-reactions page="post"></tally-reactions>' +
    '<tally-count page="large" count="123456" live="off"></tally-count><tally-count id="canonical"></tally-count>' +
    '<tally-visitors></tally-visitors><tally-readers></tally-readers><tally-top></tally-top>';
  const head = '<link rel="canonical" href="/search?b=2&amp;a=1">';
  const site = await startSite(t, { '/': { head, body }, '/refused': { head: '<script>WebSocket = class extends WebSocket { constructor() { super("ws://127.0.0.1:9/"); } }</script>', body } });
  await assertLike(site.service.url, 'default/likes/search%3Fa%3D1%26b%3D2', 'somebody-else');
  const { open, warnings } = await newOldVisitor(t);
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  await shows(page, '#canonical', 1);
  await shows(page, 'tally-visitors', 1);
  await shows(page, 'tally-readers', 1);
  const attribute = (/** @type {string} */ selector, /** @type {string} */ name) => page.locator(selector).first().getAttribute(name);
  assert.equal(await attribute('tally-like[page] button', 'aria-pressed'), 'false');
  assert.equal(await attribute('tally-like [part=number]', 'aria-hidden'), 'true');
  assert.equal(await attribute('tally-reactions [part=row]', 'aria-label'), 'Reactions');
  assert.equal(await attribute('tally-top ol', 'aria-label'), 'Most liked');
  assert.deepEqual([await attribute('tally-count[page=large] [part=number]', 'role'), await attribute('tally-count[page=large] [part=number]', 'aria-label')], ['img', '123,456']);
  const plain = await page.locator('tally-like[page] [part=icon]').first().evaluate((icon) => getComputedStyle(icon).color);
  await press(page, 'tally-like');
  // One task, since the claps are sent soon after the press.
  const busy = await page.locator('tally-claps button[part=button]').first().evaluate((/** @type {HTMLButtonElement} */ button) => {
    button.click();
    const root = /** @type {ShadowRoot} */ (button.getRootNode());
    return root.querySelector('[part=own]')?.getAttribute('aria-busy');
  });
  assert.equal(busy, 'true');
  await press(page, 'tally-reactions tally-like');
  assert.equal(await pressed(page, 'tally-like'), true);
  assert.notEqual(await page.locator('tally-like[page] [part=icon]').first().evaluate((icon) => getComputedStyle(icon).color), plain, 'a pressed heart has the accent');
  for (const topic of ['likes/post', 'claps/post', 'heart/post']) await eventually(async () => assert.equal(await countOf(site.service.url, `default/${topic}`), 1));
  await assertLike(site.service.url, 'default/likes/post', 'somebody-else');
  await shows(page, 'tally-like', 2);
  await eventually(async () => assert.ok(await page.locator('tally-top li').count()), 20_000);
  assert.deepEqual(warnings, []);
  const second = await open(`${site.url}/refused`);
  await shows(second, 'tally-like', 2);
  await assertLike(site.service.url, 'default/likes/post', 'a-third-one');
  await shows(second, 'tally-like', 3);
});

test('the client without elements works in the baseline', async (t) => {
  const { outputFiles } = await build({ entryPoints: [join(web, 'src/main.js')], bundle: true, format: 'iife', globalName: 'tallycast', write: false });
  const site = await startSite(t, { '/': { tag: `<script>${outputFiles[0].text}</script>` } });
  const { open, warnings } = await newOldVisitor(t);
  const page = await open(site.url);
  const liked = await page.evaluate(async (api) => {
    const topic = /** @type {any} */ (window).tallycast.connect({ api }).topic('default/likes/post');
    topic.subscribe(() => {});
    return [await topic.like(), await topic.unlike()];
  }, site.api);
  assert.deepEqual(liked.map(({ mine }) => mine), [1, 0]);
  assert.deepEqual(warnings, []);
});

test('the demo works in the baseline, light and dark', async (t) => {
  const site = await startSite(t, {}, { flags: ['--demo'] });
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const { open, warnings } = await newOldVisitor(t, { ...STILL, colorScheme });
    for (const path of ['/', '/demo/', '/gallery']) {
      const page = await open(site.service.url + path);
      await live(page);
      const colors = () => page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]);
      const themes = [['rgb(250, 246, 239)', 'rgb(31, 26, 23)'], ['rgb(20, 17, 16)', 'rgb(241, 233, 223)']];
      if (colorScheme === 'dark') themes.reverse();
      assert.deepEqual(await colors(), themes[0], `${path} ${colorScheme}`);
      await page.locator('#theme').click();
      assert.deepEqual(await colors(), themes[1], `${path} ${colorScheme}, the other theme`);
      await page.locator('#theme').click();
      if (path === '/gallery') assert.match(await page.locator('#builder #tag').innerText(), /<tally-like/);
      await page.close();
    }
    // The gallery shows an element with an invalid page, which the console reports.
    assert.deepEqual(warnings.filter((text) => !text.includes('"no//page"')), []);
  }
});

test('the dashboard works in the baseline, light and dark', async (t) => {
  const site = await startSite(t, {}, { flags: [ADMIN_FLAG] });
  await assertLike(site.service.url, 'default/likes/post', 'somebody-else');
  for (const [colorScheme, paper] of /** @type {const} */ ([['light', 'rgb(250, 246, 239)'], ['dark', 'rgb(20, 17, 16)']])) {
    const { open, warnings } = await newOldVisitor(t, { colorScheme });
    const page = await open(`${site.service.url}/admin/`);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), paper);
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    for (const view of ['Overview', 'Topics', 'Spikes', 'Visitors', 'Audit log']) {
      await page.getByRole('link', { name: view, exact: true }).click();
      await page.getByRole('heading', { level: 1, name: view }).waitFor();
    }
    await page.getByRole('link', { name: 'Topics', exact: true }).click();
    await page.getByRole('button', { name: /^Edit/ }).first().click();
    await page.getByRole('dialog').waitFor();
    assert.deepEqual(warnings.filter((text) => !/401/.test(text)), []);
  }
});

/** Newer features that style sheets may use: without them nothing is lost. */
const ALLOWED = /** @type {Record<string, string>} */ ({
  '-webkit-touch-callout': 'iOS alone has the menu that it hides',
  '@media (scripting)': 'without it a page says that nothing happened yet',
  ':-webkit-meter-bar': 'Firefox has a name of its own',
  ':-webkit-meter-optimum-value': 'Firefox has a name of its own',
  'accent-color': 'controls have the system’s colour',
  'float: inline-start': 'float: left is before it',
  'forced-color-adjust': 'browsers without it have no forced colours',
  'hanging-punctuation': 'decoration',
  'scrollbar-color': 'decoration',
  'text-wrap': 'lines break elsewhere',
});

test('style sheets use no feature newer than the baseline, except harmless ones', async () => {
  const read = (/** @type {string} */ path) => readFile(join(web, path), 'utf8');
  /** @type {Record<string, string>} */
  const sheets = {};
  for (const path of ['admin/admin.css', 'demo/assets/demo.css', 'demo/assets/gallery.css']) sheets[path] = await read(path);
  for (const name of ['element', 'like', 'claps', 'count', 'reactions', 'top', 'trend']) {
    const { 1: styles } = /static styles =([^]*?);\n/.exec(await read(`src/${name}.js`)) ?? [];
    sheets[name] = [...styles.matchAll(/'([^'\n]*)'/g)].map(([, text]) => text).join('');
  }
  for (const name of ['options', 'poll', 'rating', 'vote', 'trendview']) {
    const { 1: styles } = /const (?:css|styles) =([^]*?);\n/.exec(await read(`src/${name}.js`)) ?? [];
    sheets[name] = [...styles.matchAll(/'([^'\n]*)'/g)].map(([, text]) => text).join('');
  }
  for (const [name, css] of Object.entries(sheets)) {
    assert.ok(css.includes('{'), name);
    const found = newerStyles(css.replace(/@supports ?\([^{]*\{[^{}]*(\{[^{}]*\}[^{}]*)*\}/g, ''));
    // The older browser knows the prefixed property next to it.
    const lost = found.filter((feature) => !ALLOWED[feature] && !css.includes(`-webkit-${feature}:`));
    assert.deepEqual(lost, [], name);
  }
});

test('newerStyles finds newer features', () => {
  const css = 'a{color:light-dark(red,blue);text-wrap:pretty;b:hover{color:red}}p:has(b){float:inline-start}@container (width>1px){i{color:red}}@scope (a){i{color:red}}';
  assert.deepEqual(newerStyles(css), [':has', '@scope', 'float: inline-start', 'light-dark()', 'nested rules', 'text-wrap'].sort());
});
