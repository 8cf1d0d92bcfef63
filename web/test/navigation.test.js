/** The topic of an element without a page attribute, after client-side navigation by different routers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enginesOr, startEngine } from './engines.js';
import { startSite } from './site.js';
import { eventually } from './wait.js';

/** @typedef {import('./engines.js').Tab} Tab */

const link = (/** @type {string} */ href) => `<link rel="canonical" href="${href}">`;
const BODY = '<tally-count id="kept"></tally-count>';
const PAGES = {
  '/de/posts/a': { head: link('/posts/a'), body: BODY },
  '/posts/plain': { body: BODY },
  '/posts/based': { head: '<base href="/blog/">' + link('posts/based'), body: BODY },
  '/posts/broken': { head: link('https://'), body: BODY },
  '/posts/mail': { head: link('mailto:a@blog.example'), body: BODY },
  '/posts/upper': { head: '<link rel="alternate CANONICAL" href="/posts/a?b=2&amp;a=1">', body: BODY },
};

/**
 * Returns the keys of a new element and of an older one.
 * @param {Tab} tab
 */
const keys = (tab) =>
  tab.evaluate(() => {
    const heart = /** @type {any} */ (document.createElement('tally-like'));
    document.body.append(heart);
    const names = [heart, document.querySelector('#kept')].map((/** @type {any} */ { topic }) => topic?.name.split('/').slice(2).join('/'));
    heart.remove();
    return names;
  });

/**
 * @param {Tab} tab
 * @param {string} key
 */
const means = (tab, key) => eventually(async () => assert.deepEqual(await keys(tab), [key, key]));

/**
 * Navigates with a router to a page with the given canonical link.
 * @param {Tab} tab
 * @param {(path: string, href: string) => void | Promise<void>} router
 * @param {string} path
 * @param {string} [href]
 */
const navigate = (tab, router, path, href = '') => tab.evaluate(router, path, href);

/** Changes only the address. */
const push = (/** @type {string} */ path) => history.pushState({}, '', path);

/** Changes the canonical link, then the address, in one turn. */
const headFirst = (/** @type {string} */ path, /** @type {string} */ href) => {
  const link = document.querySelector('link[rel=canonical]');
  if (link) link.setAttribute('href', href);
  else document.head.insertAdjacentHTML('beforeend', `<link rel="canonical" href="${href}">`);
  history.pushState({}, '', path);
};

/** Changes the address, then fetches the page and replaces the canonical link, as Turbo does. */
const addressFirst = async (/** @type {string} */ path, /** @type {string} */ href) => {
  history.pushState({}, '', path);
  await new Promise((resolve) => setTimeout(resolve, 300));
  document.querySelector('link[rel=canonical]')?.remove();
  if (href) document.head.insertAdjacentHTML('beforeend', `<link rel="canonical" href="${href}">`);
};

/** Replaces head and body, then changes the address, as Astro does. */
const swapFirst = async (/** @type {string} */ path, /** @type {string} */ href) => {
  const link = document.querySelector('link[rel=canonical]');
  if (link?.getAttribute('href') !== href) {
    link?.remove();
    if (href) document.head.insertAdjacentHTML('beforeend', `<link rel="canonical" href="${href}">`);
  }
  const kept = document.createElement('tally-count');
  kept.id = 'kept';
  document.body.replaceChildren(kept);
  await new Promise((resolve) => setTimeout(resolve, 50));
  history.pushState({}, '', path);
  document.dispatchEvent(new Event('astro:after-swap'));
};

for (const name of enginesOr('chromium')) {
  test(`${name}: the topic follows the canonical link after client-side navigation`, async (t) => {
    const site = await startSite(t, PAGES, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    const start = async (/** @type {string} */ path, /** @type {string} */ key) => {
      await tab.goto(site.url + path);
      await means(tab, key);
    };

    for (const [how, router] of Object.entries({ headFirst, addressFirst, swapFirst })) {
      await t.test(`router: ${how}`, async () => {
        await start('/de/posts/a', 'posts/a');
        for (const post of ['b', 'caf%C3%A9', 'a', 'b']) {
          await navigate(tab, router, `/de/posts/${post}`, `/posts/${post}`);
          await means(tab, decodeURIComponent(`posts/${post}`));
        }
      });

      await t.test(`from a page without a canonical link, ${how}`, async () => {
        await start('/posts/plain', 'posts/plain');
        await navigate(tab, router, '/de/posts/b', '/posts/b');
        await means(tab, 'posts/b');
      });
    }

    await t.test('a link that is removed, and a link that is inserted late', async () => {
      await start('/de/posts/a', 'posts/a');
      await navigate(tab, addressFirst, '/about/');
      await means(tab, 'about');
      await tab.evaluate(() => document.head.insertAdjacentHTML('beforeend', '<link rel="canonical" href="/about-us">'));
      await means(tab, 'about-us');
      await tab.evaluate(() => document.querySelector('link[rel=canonical]')?.remove());
      await means(tab, 'about');
    });

    await t.test('a link that the router does not change belongs to the first page', async () => {
      await start('/de/posts/a', 'posts/a');
      await navigate(tab, push, '/de/posts/b?x=1');
      await means(tab, 'de/posts/b');
      await tab.evaluate(() => history.replaceState({}, '', '/de/posts/c'));
      await means(tab, 'de/posts/c');
      await tab.evaluate(() => history.back());
      await means(tab, 'posts/a');
    });

    await t.test('an address that changes only its query, fragment or trailing slash', async () => {
      await start('/de/posts/a', 'posts/a');
      for (const path of ['?utm=1', '#top', '/de/posts/a/', '/de/posts/a/index.html?b']) {
        await tab.evaluate((/** @type {string} */ path) => history.replaceState({}, '', path), path);
        await means(tab, 'posts/a');
      }
    });

    await t.test('a page whose link the router does not update', async () => {
      await start('/de/posts/a', 'posts/a');
      await navigate(tab, headFirst, '/de/posts/b', '/posts/b');
      await means(tab, 'posts/b');
      await tab.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1100)));
      await navigate(tab, push, '/contact');
      await means(tab, 'contact');
      await navigate(tab, headFirst, '/de/posts/c', '/posts/c');
      await means(tab, 'posts/c');
    });

    await t.test('the same link in two pages of a router that replaces documents', async () => {
      await start('/de/posts/a', 'posts/a');
      await navigate(tab, swapFirst, '/en/posts/a', '/posts/a');
      await means(tab, 'posts/a');
    });

    await t.test('base elements, broken links, several relations', async () => {
      await start('/posts/based', 'blog/posts/based');
      await start('/posts/broken', 'posts/broken');
      await start('/posts/mail', 'posts/mail');
      await start('/posts/upper', 'posts/a?a=1&b=2');
    });
  });

  test(`${name}: a visit counts for the page that the router shows`, async (t) => {
    const pages = { ...PAGES, '/de/posts/a': { ...PAGES['/de/posts/a'], body: '<tally-visitors metric="views" scope="page" local></tally-visitors>' } };
    const site = await startSite(t, pages, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    const viewed = async () => (await (await fetch(`${site.service.url}/v1/top/default/views`)).json()).top.map((/** @type {any} */ { topic }) => topic).sort();
    await tab.goto(`${site.url}/de/posts/a`);
    await eventually(async () => assert.deepEqual(await viewed(), ['default/views/posts/a']));
    await navigate(tab, addressFirst, '/de/posts/b', '/posts/b');
    await eventually(async () => assert.deepEqual(await viewed(), ['default/views/posts/a', 'default/views/posts/b']));
    await navigate(tab, addressFirst, '/about');
    await eventually(async () => assert.deepEqual(await viewed(), ['default/views/about', 'default/views/posts/a', 'default/views/posts/b']));
  });
}
