/** How an address becomes a key: the golden file that the Go tests of package pagekey use, too. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { enginesOr, startEngine } from './engines.js';
import { startSite } from './site.js';
import { assertLike } from './process.js';
import { eventually } from './wait.js';

const read = (/** @type {string} */ path) => readFileSync(join(import.meta.dirname, path), 'utf8');

/** @type {{ address: string, key: string | null }[]} */
const golden = JSON.parse(read('../../internal/pagekey/testdata/golden.json'));

/** The head of a preview, which has another address than the published page. */
const HEAD = '<link rel="canonical" href="https://blog.example/posts/preview/">';

/** Page attributes without a key on HEAD's site, besides those of the golden file. */
const FOREIGN = ['https://elsewhere.example/posts/hello', '//elsewhere.example/posts/hello', 'https://blog.example.elsewhere.example/', 'https://blog.example:8443/x', 'cut \ud83d', '/cut\ud83d'];

/** @typedef {{ page: string, hidden: boolean, topic: string, errors: string[] }} Heart */

/**
 * Inserts a heart for each page, and returns their states.
 * @param {import('./engines.js').Tab} tab
 * @param {string[]} pages
 */
const hearts = (tab, pages) =>
  tab.evaluate(async (pages) => {
    /** @type {any[]} */
    const made = pages.map((page) => {
      const heart = document.createElement('tally-like');
      const errors = /** @type {any} */ (heart).errors = /** @type {string[]} */ ([]);
      heart.addEventListener('tally-error', (event) => errors.push(/** @type {CustomEvent} */ (event).detail.code));
      heart.setAttribute('page', page);
      document.body.append(heart);
      return heart;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    return made.map((heart) => {
      heart.remove();
      return { page: heart.page, hidden: heart.shadowRoot.querySelector('[part=button]').hidden, topic: heart.topic?.name ?? '', errors: heart.errors };
    });
  }, pages);

for (const name of enginesOr('chromium')) {
  test(`${name}: keyOf gives the golden keys`, async (t) => {
    const site = await startSite(t, { '/': { head: HEAD } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(site.url);
    const found = await tab.evaluate(
      async (source, addresses) => {
        const { keyOf } = await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(source)}`);
        return addresses.map((address) => keyOf(address) ?? null);
      },
      read('../src/page.js'),
      golden.map(({ address }) => address),
    );
    const wrong = golden.map((want, i) => ({ ...want, found: found[i] })).filter(({ key, found }) => key !== found);
    assert.deepEqual(wrong, []);
    assert.ok(golden.length > 0);
  });

  test(`${name}: all forms of a page attribute name one topic, and one without a key is reported once`, async (t) => {
    const site = await startSite(t, { '/x': { head: HEAD + '<script>logged = []; console.warn = (...text) => logged.push(text.join(" "))</script>' } }, { local: true });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(`${site.url}/x`);
    const logged = () => tab.evaluate(() => /** @type {string[]} */ (/** @type {any} */ (window).logged));
    const forms = ['posts/café', 'posts/caf%C3%A9', '/posts/caf%C3%A9/', '/posts/café/index.html', '/posts/cafe%CC%81#top', `${site.url}/posts/caf%C3%A9/`, 'https://blog.example/posts/café'];
    for (const heart of await hearts(tab, forms)) assert.deepEqual(heart, { page: heart.page, hidden: false, topic: 'default/likes/posts/café', errors: [] });
    for (const heart of await hearts(tab, ['/', 'index', '/index.html', `${site.url}/`, site.url])) assert.equal(heart.topic, 'default/likes/index', heart.page);
    assert.deepEqual(await logged(), []);

    const none = [...golden.filter(({ key }) => key === null).map(({ address }) => address), ...FOREIGN];
    for (const heart of await hearts(tab, none)) assert.deepEqual(heart, { page: heart.page, hidden: true, topic: '', errors: ['bad_topic'] });
    const messages = await logged();
    assert.equal(messages.length, none.length, messages.join('\n'));
    assert.ok(messages.every((text) => /^tallycast: bad_topic tally-like: "[^]*" is not a page of this site$/.test(text)), messages.join('\n'));
  });

  test(`${name}: tally-top finds its links in all forms and links to each key's page`, async (t) => {
    const links = ['/posts/caf%C3%A9/', '/posts/a/index.html', '/posts/b/', 'https://blog.example/posts/c', '/posts/d?ref=top', './e', '/posts/q?b=2&amp;a=1', 'mailto:index', '#top'];
    const list = (/** @type {string} */ attributes, /** @type {string} */ children) => `<tally-top limit="20" ${attributes}>${children}</tally-top>`;
    const body =
      list('id="known"', links.map((href) => `<a href="${href}">${href}</a>`).join('') + '<a href="/elsewhere" data-page="/posts/f/">data</a><a>no link</a>') +
      ['', 'href="/blog/{key}/"', 'href="{key}"', 'href="/{key}.html"', 'href="/?page={key}"', 'href="#/{key}"'].map((href) => list(`class="made" ${href}`, '')).join('');
    const site = await startSite(t, { '/posts/': { body } }, { local: true });
    const keys = ['posts/café', 'posts/a', 'posts/b', 'posts/c', 'posts/d', 'posts/e', 'posts/q?a=1&b=2', 'posts/f', 'index', 'index?p=12', '100%', 'a%20b', 'c#', 'what?'];
    for (const key of keys) await assertLike(site.service.url, `default/likes/${key.split('/').map(encodeURIComponent).join('/')}`, 'somebody');
    await eventually(async () => assert.equal((await (await fetch(`${site.service.url}/v1/top/default/likes?limit=20`)).json()).top.length, keys.length));
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    await tab.goto(`${site.url}/posts/`);
    /** @param {string} selector */
    const rows = async (selector) =>
      Object.fromEntries(
        await tab.evaluate(
          (selector) =>
            [.../** @type {any} */ (document.querySelector(selector)).shadowRoot.querySelectorAll('li')].map((row) => {
              const [a, count] = row.children;
              return [count.topic?.name.slice('default/likes/'.length), [a.textContent, a.getAttribute('href'), count.shadowRoot.querySelector('[part=number]').textContent]];
            }),
          selector,
        ),
      );
    await eventually(async () => assert.equal(Object.keys(await rows('.made:last-child')).length, keys.length));
    const known = await rows('#known');
    assert.deepEqual(Object.keys(known).sort(), [...keys].sort(), 'each number is that of its key');
    const at = (/** @type {string} */ path) => new URL(path, `${site.url}/posts/`).href;
    const named = Object.fromEntries(keys.map((key, i) => [key, i < 7 ? [links[i].replace('&amp;', '&'), at(links[i].replace('&amp;', '&')), '1'] : undefined]));
    Object.assign(named, {
      'posts/f': ['data', at('/elsewhere'), '1'],
      index: ['index', '/', '1'],
      'index?p=12': ['index?p=12', '/?p=12', '1'],
      '100%': ['100%', '/100%25', '1'],
      'a%20b': ['a%20b', '/a%2520b', '1'],
      'c#': ['c#', '/c%23', '1'],
      'what?': ['what?', '/what%3F', '1'],
    });
    assert.deepEqual(known, named);
    const made = await tab.evaluate(() =>
      [...document.querySelectorAll('.made')].map(({ shadowRoot }) => {
        const href = (/** @type {string} */ text) => [...(shadowRoot?.querySelectorAll('a') ?? [])].find(({ textContent }) => textContent === text)?.getAttribute('href');
        return [href('index'), href('posts/café')];
      }),
    );
    assert.deepEqual(made, [
      ['/', '/posts/caf%C3%A9'],
      ['/blog/', '/blog/posts/caf%C3%A9/'],
      ['.', 'posts/caf%C3%A9'],
      ['/index.html', '/posts/caf%C3%A9.html'],
      ['/?page=index', '/?page=posts/caf%C3%A9'],
      ['#/', '#/posts/caf%C3%A9'],
    ]);
  });
}
