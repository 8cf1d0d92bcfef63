import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newVisitor, press, pressed, shows, STILL, useBrowser } from './browser.js';
import { startService } from './process.js';
import { eventually } from './wait.js';

/** The golden frames, which the Go tests use, too. */
const golden = /** @type {{ name: string, frame: any, meaning: string }[]} */ (
  JSON.parse(readFileSync(join(import.meta.dirname, '../../internal/push/testdata/frames.json'), 'utf8'))
);

const HEART = '.stage tally-like';

const browser = useBrowser();
/** @type {Awaited<ReturnType<typeof startService>>} */
let service;

before(async () => void (service = await startService()));
after(() => service?.stop());

/**
 * Opens a page to which the test sends frames in the place of the service.
 * @param {import('node:test').TestContext} t
 * @param {string} topic
 */
async function pageOf(t, topic) {
  const { context, warnings } = await newVisitor(t, browser, STILL);
  const page = await context.newPage();
  page.on('console', (message) => warnings.push(message.text()));
  /** @type {import('playwright-core').WebSocketRoute[]} */
  const sockets = [];
  /** @type {any[]} of the page */
  const messages = [];
  await page.routeWebSocket(/\/v1\/ws$/, (socket) => {
    // The service sends no frames before the page subscribes.
    socket.onMessage((message) => {
      sockets.includes(socket) || sockets.push(socket);
      messages.push(JSON.parse(String(message)));
    });
  });
  await page.goto(service.url);
  const [site, metric, ...key] = topic.split('/');
  await page.evaluate(
    ([site, metric, key]) => {
      const count = document.createElement('tally-count');
      count.id = 'golden';
      count.textContent = 'fallback';
      Object.assign(count, { site, metric, page: key });
      const events = /** @type {any} */ (window).events = /** @type {any[]} */ ([]);
      for (const name of ['tally-load', 'tally-change', 'tally-error']) {
        count.addEventListener(name, (event) => events.push([name, /** @type {CustomEvent} */ (event).detail]));
      }
      document.querySelector('main')?.prepend(count);
    },
    [site, metric, key.join('/')],
  );
  // A page takes any version of a topic that it subscribes to, so a frame comes after that.
  await eventually(() => assert.ok(messages.some((message) => message.subscribe?.includes(topic))));
  assert.equal(sockets.length, 1);
  return {
    page,
    warnings,
    messages,
    send: (/** @type {any} */ frame) => sockets[0].send(JSON.stringify(frame)),
    status: () => page.locator('#status').getAttribute('data-status'),
    events: () => page.evaluate(() => /** @type {any} */ (window).events),
  };
}

for (const { name, frame } of golden) {
  test(`golden frame: ${name}`, async (t) => {
    const { page, send, status, events, warnings, messages } = await pageOf(t, frame.topic ?? 'default/likes/golden');
    if (frame.id !== undefined) {
      send({ ...frame, id: 5 }); // that of no assertion: ignored
      send({ topic: 'default/likes/hello', count: 12, version: 9 });
      await shows(page, HEART, 12);
      await press(page, HEART);
      await shows(page, HEART, 13);
      const { id } = await eventually(() => messages.find((message) => message.assert) ?? assert.fail('no assertion'));
      send({ ...frame, id });
      await shows(page, HEART, frame.count ?? 12);
      assert.equal(await pressed(page, HEART), !frame.error);
    } else if (frame.error && frame.topic) {
      send(frame);
      await eventually(async () => assert.deepEqual((await events()).at(-1), ['tally-error', frame.error]));
      assert.equal(await page.locator('#golden').innerText(), 'fallback');
    } else if (frame.error) {
      send(frame);
      await eventually(() => assert.ok(warnings.some((text) => text.startsWith('tallycast:'))));
    } else if (frame.topic) {
      send(frame);
      await eventually(async () => assert.equal((await events())[0]?.[1].count, frame.count));
      // An older version is ignored.
      send({ ...frame, count: frame.count + 5, version: frame.version - 1 });
      send({ event: 'live' });
      await eventually(async () => assert.equal(await status(), 'live'));
      assert.deepEqual((await events()).slice(1), []);
    } else if (frame.event === 'live' || frame.event === 'stale') {
      send({ event: frame.event === 'live' ? 'stale' : 'live' });
      send(frame);
      await eventually(async () => assert.equal(await status(), frame.event));
    } else {
      send({ event: 'live' });
      send(frame);
      send({ topic: 'default/likes/golden', count: 7, version: 9 });
      await shows(page, '#golden', 7);
      assert.equal(await status(), 'live', 'the status does not change');
    }
  });
}
