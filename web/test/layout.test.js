/** Elements in rows and grids: none overlaps its neighbour, however long its number is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enginesOr, startEngine } from './engines.js';
import { ADMIN_FLAG, adminRequest } from './process.js';
import { startSite } from './site.js';
import { eventually } from './wait.js';

/** @param {number} digits */
const numberOf = (digits) => '123456789'.slice(0, digits);

/** Each element with a number of that many digits; with 0 the number is unknown. @param {number} digits */
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

/** Styles of the container. */
const LAYOUTS = [
  'display:flex;gap:8px',
  'display:flex;gap:8px;align-items:baseline;font-size:40px',
  'display:flex;gap:8px;flex-direction:column;align-items:start',
  'display:inline-flex;gap:8px;max-inline-size:100%',
  'display:grid;gap:8px;grid-template-columns:auto 1fr',
  'display:grid;gap:8px;grid-template-columns:min-content 1fr',
  'display:grid;gap:8px;grid-auto-flow:column;justify-content:start',
];

const TEXT = 'hearts for the article, the same as on every other screen and in every other window';

/** The rows of a page, each with an element and its neighbour. @param {number} digits */
const rows = (digits) => LAYOUTS.map((style) => elements(digits).map((element) => `<div style="${style}">${element}<span>${TEXT}</span></div>`).join('')).join('');

const PAGE = {
  head: '<meta name="viewport" content="width=device-width"><style>body{margin:0;font:16px/1.4 sans-serif}main{overflow:hidden;padding:8px;box-sizing:border-box}div{margin-block-end:8px}</style>',
  body: '<main></main>',
};

/**
 * Runs in the page: lists the parts that overlap the element's neighbour or leave the column.
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
    const site = await startSite(t, { '/ltr': PAGE, '/rtl': { ...PAGE, html: 'lang="en" dir="rtl"' } }, { local: true, flags: ['--rate-limit=off', '--topic-limit=off', '--new-topic-limit=off'] });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const path of ['/ltr', '/rtl']) {
      await tab.goto(site.url + path);
      for (let digits = 0; digits <= 9; digits++) {
        await tab.evaluate((html) => void (/** @type {HTMLElement} */ (document.querySelector('main')).innerHTML = html), rows(digits));
        await eventually(async () =>
          assert.equal(
            await tab.evaluate(() => [...document.querySelectorAll('tally-count')].every((count) => count.shadowRoot && (count.getAttribute('page') === 'no//page' || !count.shadowRoot.querySelector('[part=number][hidden]')))),
            true,
          ),
        );
        for (const width of [390, 1280]) assert.deepEqual(await tab.evaluate(overlaps, width), [], `${path}, ${digits} digits, ${width} px`);
      }
    }
  });

  test(`${name}: tally-top overlaps neither its titles nor its neighbour`, async (t) => {
    const rows = LAYOUTS.map((style) => `<div style="${style}"><tally-top metric="wow" limit="9"></tally-top><span>${TEXT}</span></div>`).join('');
    const list = { head: '<style>body{margin:0;font:16px/1.4 sans-serif}main{padding:8px;box-sizing:border-box}</style>', body: `<main>${rows}</main>` };
    const site = await startSite(t, { '/ltr': list, '/rtl': { ...list, html: 'lang="en" dir="rtl"' } }, { local: true, flags: [ADMIN_FLAG] });
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digits) => ({ topic: `default/wow/a-post-with-a-name-of-its-own-${digits}`, seed: Number(numberOf(digits)) }));
    await adminRequest(site.service.url, 'POST', 'seeds', { seeds });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const path of ['/ltr', '/rtl']) {
      await tab.goto(site.url + path);
      await eventually(
        async () =>
          assert.equal(
            await tab.evaluate(() => {
              // A list loads when it is near the viewport.
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
    const site = await startSite(t, {}, { local: true, flags: ['--demo'] });
    const engine = await startEngine(name, t);
    const tab = await engine.open();
    for (const path of ['/', '/demo/', '/gallery']) {
      await tab.goto(site.service.url + path);
      for (const number of [0, 12, 123, 1234, 123_456, 999_999_999]) {
        // A topic of its own for each number, so that the service sends no other.
        await tab.evaluate((number) => {
          const count = document.querySelector('.closing tally-count');
          for (const [name, value] of Object.entries({ live: 'off', page: `closing/${number}`, count: number })) count?.setAttribute(name, String(value));
        }, number);
        const exact = () => tab.evaluate(() => document.querySelector('.closing tally-count')?.shadowRoot?.querySelector('[part=exact]')?.textContent);
        await eventually(async () => assert.equal((await exact())?.replaceAll(',', ''), String(number)));
        for (const width of [1280, 390]) {
          await tab.resize(width, 900);
          const [gap, inside] = await tab.evaluate(() => {
            const [count, text] = /** @type {any} */ (document.querySelector('.closing')?.children);
            const number = count.shadowRoot.querySelector('[part=number]').getBoundingClientRect();
            const host = count.getBoundingClientRect();
            return [text.getBoundingClientRect().left - number.right, number.right <= host.right + 0.5];
          });
          assert.ok(gap > 0 && inside, `${path}, ${number}, ${width} px: ${gap} px between the number and its text`);
        }
      }
    }
  });
}
