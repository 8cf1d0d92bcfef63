/** Elements in rows and grids of the page: none overlaps what is beside it, however long its number is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enginesOr, startEngine } from './engines.js';
import { startSite } from './site.js';
import { eventually } from './wait.js';

const TOKEN = 'a-token-that-only-the-owner-knows';

/** @param {number} digits */
const numberOf = (digits) => '123456789'.slice(0, digits);

/** Each element with a number of so many digits; with none it is not known. @param {number} digits */
const elements = (digits) => {
  const page = digits ? `page="long/${digits}" live="off" count="${numberOf(digits)}"` : 'page="no//page"';
  const reactions = ['heart', 'party', 'rocket'].map((name) => `${name}=${numberOf(digits)}`).join();
  return [
    `<tally-count ${page}></tally-count>`,
    `<tally-like ${page}></tally-like>`,
    `<tally-claps ${page}></tally-claps>`,
    `<tally-visitors ${page}></tally-visitors>`,
    `<tally-readers ${page}></tally-readers>`,
    `<tally-reactions ${page.replace(/count=\S+/, '')} count="${reactions}" reactions="heart,party,rocket"></tally-reactions>`,
  ];
};

/** What an author writes around an element. */
const LAYOUTS = [
  'display:flex;gap:8px',
  'display:flex;gap:8px;align-items:baseline;font-size:40px',
  'display:flex;gap:8px;flex-direction:column;align-items:start',
  'display:inline-flex;gap:8px;max-inline-size:100%',
  'display:grid;gap:8px;grid-template-columns:auto 1fr',
  'display:grid;gap:8px;grid-template-columns:min-content 1fr',
  'display:grid;gap:8px;grid-auto-flow:column;justify-content:start',
];

const TEXT = 'hearts for “How a number travels”, the same as on every other screen and in every other window';

/** @param {number} digits */
const body = (digits) =>
  '<style>body{margin:0;font:16px/1.4 sans-serif}main{overflow:hidden;padding:8px;box-sizing:border-box}div{margin-block-end:8px}</style>' +
  `<main>${LAYOUTS.map((style) => elements(digits).map((element) => `<div style="${style}">${element}<span>${TEXT}</span></div>`).join('')).join('')}</main>`;

/**
 * Runs in the page: names what overlaps the element's neighbour, or is outside the element's own box.
 * @param {number} width of the column that the elements are in
 */
function overlaps(width) {
  const main = /** @type {HTMLElement} */ (document.querySelector('main'));
  main.style.inlineSize = `${width}px`;
  /** @type {string[]} */
  const found = [];
  for (const row of main.children) {
    const [element, neighbour] = /** @type {any} */ (row.children);
    const parts = [element, ...(element.shadowRoot?.querySelectorAll('[part=number],[part=button],tally-like') ?? [])].flatMap((each) => [each, ...(each.shadowRoot?.querySelectorAll('[part=number],[part=button]') ?? [])]);
    const other = neighbour.getBoundingClientRect();
    const column = main.getBoundingClientRect();
    for (const part of parts) {
      const box = part.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      const shared = Math.min(box.right, other.right) - Math.max(box.left, other.left);
      const sharedHeight = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
      if (shared > 0.5 && sharedHeight > 0.5) found.push(`${element.localName} ${part.localName} in ${row.getAttribute('style')}: overlaps by ${Math.round(shared)} px`);
      if (box.left < column.left - 0.5 || box.right > column.right + 0.5) found.push(`${element.localName} ${part.localName} in ${row.getAttribute('style')}: outside the column`);
    }
  }
  return [...new Set(found)];
}

for (const name of enginesOr('chromium')) {
  test(`${name}: no element overlaps its neighbour in rows and grids, with 0 to 9 digits, left to right and right to left`, async (t) => {
    /** @type {Record<string, import('./site.js').Site>} */
    const pages = {};
    for (let digits = 0; digits <= 9; digits++) {
      pages[`/ltr/${digits}`] = { body: body(digits), head: '<meta name="viewport" content="width=device-width">' };
      pages[`/rtl/${digits}`] = { ...pages[`/ltr/${digits}`], html: 'lang="en" dir="rtl"' };
    }
    const site = await startSite(t, pages, { local: true, flags: ['--rate-limit=off', '--new-topic-limit=off'] });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const [path] of Object.entries(pages)) {
      await tab.goto(site.url + path);
      await eventually(async () =>
        assert.equal(
          await tab.evaluate(() => [...document.querySelectorAll('tally-count')].every((count) => count.shadowRoot && (count.getAttribute('page') === 'no//page' || !count.shadowRoot.querySelector('[part=number][hidden]')))),
          true,
        ),
      );
      for (const width of [390, 1280]) assert.deepEqual(await tab.evaluate(overlaps, width), [], `${path}, ${width} px`);
    }
  });

  test(`${name}: tally-top overlaps neither its titles nor its neighbour`, async (t) => {
    const rows = LAYOUTS.map((style) => `<div style="${style}"><tally-top metric="wow" limit="9"></tally-top><span>${TEXT}</span></div>`).join('');
    const list = { head: '<style>body{margin:0;font:16px/1.4 sans-serif}main{padding:8px;box-sizing:border-box}</style>', body: `<main>${rows}</main>` };
    const site = await startSite(t, { '/ltr': list, '/rtl': { ...list, html: 'lang="en" dir="rtl"' } }, { local: true, flags: [`--admin-token=${TOKEN}`] });
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digits) => ({ topic: `default/wow/a-post-with-a-name-of-its-own-${digits}`, seed: Number(numberOf(digits)) }));
    const response = await fetch(`${site.service.url}/admin/v1/seeds`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ seeds }),
    });
    assert.ok(response.ok, await response.text());
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const path of ['/ltr', '/rtl']) {
      await tab.goto(site.url + path);
      await eventually(
        async () =>
          assert.equal(
            await tab.evaluate(() => {
              // Lists are filled once they are near the viewport.
              const empty = [...document.querySelectorAll('tally-top')].filter((top) => top.shadowRoot?.querySelectorAll('li').length !== 9);
              empty[0]?.scrollIntoView();
              return empty.length;
            }),
            0,
          ),
        20_000,
      );
      for (const width of [390, 1280]) {
        const found = await tab.evaluate((width) => {
          /** @type {HTMLElement} */ (document.querySelector('main')).style.inlineSize = `${width}px`;
          const apart = (/** @type {DOMRect} */ a, /** @type {DOMRect} */ b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5 || a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
          return [...document.querySelectorAll('tally-top')].flatMap((top) => {
            const neighbour = /** @type {Element} */ (top.nextElementSibling).getBoundingClientRect();
            return [.../** @type {ShadowRoot} */ (top.shadowRoot).querySelectorAll('li')].flatMap((row) => {
              const number = /** @type {Element} */ (row.querySelector('tally-count')?.shadowRoot?.querySelector('[part=number]')).getBoundingClientRect();
              const range = document.createRange();
              range.selectNodeContents(/** @type {Element} */ (row.querySelector('a')));
              const title = range.getBoundingClientRect();
              return apart(number, title) && apart(number, neighbour) && apart(title, neighbour) ? [] : [`${top.parentElement?.getAttribute('style')}: ${row.textContent}`];
            });
          });
        }, width);
        assert.deepEqual(found, [], `${path}, ${width} px`);
      }
    }
  });

  test(`${name}: the number in the demo's footer fits`, async (t) => {
    const site = await startSite(t, {}, { local: true, flags: ['--demo', `--admin-token=${TOKEN}`] });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const seed of [0, 12, 123, 1234, 123_456, 999_999_999]) {
      const response = await fetch(`${site.service.url}/admin/v1/seeds`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({ seeds: [{ topic: 'default/likes/hello', seed }] }),
      });
      assert.ok(response.ok, await response.text());
      for (const path of ['/', '/demo/', '/gallery']) {
        await tab.goto(site.service.url + path);
        await eventually(async () => assert.equal(await tab.evaluate(() => document.querySelector('.closing tally-count')?.shadowRoot?.querySelector('[part=number]')?.hasAttribute('hidden')), false));
        for (const width of [1280, 390]) {
          await tab.resize(width, 900);
          const [gap, inside] = await tab.evaluate(() => {
            const [count, text] = /** @type {any} */ (document.querySelector('.closing')?.children);
            const number = count.shadowRoot.querySelector('[part=number]').getBoundingClientRect();
            const host = count.getBoundingClientRect();
            return [text.getBoundingClientRect().left - number.right, number.right <= host.right + 0.5];
          });
          assert.ok(gap > 0 && inside, `${path}, ${seed}, ${width} px: ${gap} px between the number and its text`);
        }
      }
    }
  });
}
