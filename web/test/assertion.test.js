/** Presses over the socket of the page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, newVisitor, press, pressed, remembered, shows, useBrowser } from './browser.js';
import { countOf, startService } from './process.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/hello';
const HEART = '.stage tally-like';

const browser = useBrowser();

/** @typedef {import('playwright-core').WebSocketRoute} Socket */

/**
 * Opens the demo of a service. Its sockets pass on what the page sends, except assertions: those go to handle.
 * @param {import('node:test').TestContext} t
 * @param {(message: string, page: Socket, server: Socket) => void} handle
 * @param {string[]} [flags] of the service
 */
async function open(t, handle, flags = []) {
  const service = await startService({ flags });
  t.after(() => service.stop());
  const { context, warnings } = await newVisitor(t, browser);
  /** @type {any[]} */
  const asserted = [];
  await context.routeWebSocket('**/v1/ws', (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      if (!String(message).startsWith('{"assert"')) return server.send(message);
      asserted.push(JSON.parse(String(message)));
      handle(String(message), socket, server);
    });
  });
  /** @type {any[]} */
  const posted = [];
  context.on('request', (request) => request.method() === 'POST' && request.url().endsWith(TOPIC) && posted.push(JSON.parse(request.postData() ?? '')));
  const page = await context.newPage();
  await page.goto(service.url);
  await live(page);
  const sent = () => eventually(async () => assert.deepEqual((await remembered(page)).wish, {}));
  return { service, page, asserted, posted, sent, warnings };
}

test('a press and its withdrawal are sent over the socket', async (t) => {
  const { service, page, asserted, posted, sent } = await open(t, (message, _, server) => server.send(message));
  await press(page, HEART);
  await sent();
  assert.equal(await countOf(service.url, TOPIC), 1);
  await press(page, HEART);
  await sent();
  assert.equal(await countOf(service.url, TOPIC), 0);
  await shows(page, HEART, 0);
  const { visitor } = await remembered(page);
  assert.deepEqual(asserted.map(({ id, ...message }) => message), [1, 0].map((amount) => ({ assert: TOPIC, visitor, amount })));
  assert.deepEqual(posted, []);
});

const LOST = /** @type {Record<string, (message: string, page: Socket, server: Socket) => void>} */ ({
  'the answer does not come': () => {},
  'the socket closes before the answer': (message, page, server) => {
    server.send(message);
    page.close({ code: 1001 });
  },
  'the service does not know the message': (_, page) => page.send('{"error":{"code":"bad_body","message":"unknown message"}}'),
});
for (const [what, handle] of Object.entries(LOST)) {
  test(`a press is posted if ${what}`, async (t) => {
    const { service, page, asserted, posted, sent } = await open(t, handle);
    await press(page, HEART);
    assert.equal(await pressed(page, HEART), true);
    await sent();
    assert.deepEqual(posted, [{ visitor: asserted[0].visitor, amount: 1 }]);
    assert.equal(await countOf(service.url, TOPIC), 1);
    await live(page);
    await shows(page, HEART, 1);
    assert.equal(await pressed(page, HEART), true);
  });
}

test('a refusal over the socket takes the press back, and is not posted', async (t) => {
  const { page, posted, sent, service } = await open(t, (message, _, server) => server.send(message.replace(/"visitor":"[^"]*"/, '"visitor":"short"')));
  const failure = page.evaluate(
    () => new Promise((resolve) => document.addEventListener('tally-error', (event) => resolve(/** @type {CustomEvent} */ (event).detail), { once: true })),
  );
  await press(page, HEART);
  assert.equal(/** @type {any} */ (await failure).code, 'bad_visitor');
  await sent();
  assert.equal(await page.locator(`${HEART} [role=status]`).innerText(), 'Not saved');
  assert.equal(await pressed(page, HEART), false);
  assert.deepEqual(posted, []);
  assert.equal(await countOf(service.url, TOPIC), 0);
});

test('a press is sent over the socket again if the store is away', async (t) => {
  const { page, asserted, posted, sent } = await open(t, (message, page, server) => {
    if (asserted.length > 1) return server.send(message);
    page.send(JSON.stringify({ id: asserted[0].id, error: { code: 'store_unavailable', message: 'The store is away.', retry_after: 1 } }));
  });
  await press(page, HEART);
  await sent();
  assert.equal(asserted.length, 2, 'asserted again after the pause');
  assert.equal(await pressed(page, HEART), true);
  assert.deepEqual(posted, []);
});
