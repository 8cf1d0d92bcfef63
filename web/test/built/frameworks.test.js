/**
 * The examples with large frameworks: installed from their lock files, built, served and pressed. `npm run
 * test:examples` runs it.
 */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { newVisitor, PERSON, press, pressed, shows, useBrowser } from '../browser.js';
import { assertLike, countOf, freePort, start, startService } from '../process.js';
import { run, web } from '../project.js';
import { eventually } from '../wait.js';

const TOPIC = 'default/likes/posts/hello';
const TOKEN = 'a-token-of-the-examples-own-server';
const KEY = 'the-secret-with-which-the-example-signs-readers';
const PASSWORD = 'the-password-of-readers';

/** How long a server of a framework may take to start, in milliseconds. */
const START = 60_000;

const browser = useBrowser();

/**
 * Installs an example from its lock file and builds it.
 * @param {string} name
 * @param {Record<string, string>} env
 */
async function build(name, env) {
  const dir = join(web, 'examples', name);
  // An older build may have another service's address.
  for (const old of ['dist', '.next', '.astro']) await rm(join(dir, old), { recursive: true, force: true });
  await run('npm', ['ci', '--no-audit', '--no-fund'], dir);
  await run('npm', ['run', 'build'], dir, { ASTRO_TELEMETRY_DISABLED: '1', NEXT_TELEMETRY_DISABLED: '1', ...env });
  return dir;
}

/**
 * Checks the number before a script runs, no hydration warning, live numbers after.
 * @param {import('node:test').TestContext} t
 * @param {string} url of the example
 * @param {string} api
 */
async function look(t, url, api) {
  const html = await (await fetch(`${url.replace('blog.example', '127.0.0.1')}/posts/hello/`)).text();
  assert.match(html, /<tally-like page="posts\/hello" count="3"[^>]*>/);
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(`${url}/`);
  await shows(page, 'tally-like', 3);
  await shows(page, 'header tally-visitors', 1);
  await shows(page, 'footer tally-visitors', 1);
  await page.getByRole('link', { name: 'Hello' }).click();
  await page.waitForURL(/\/posts\/hello/);
  await eventually(async () => assert.equal(await page.locator('tally-like').count(), 1));
  await shows(page, 'tally-like', 3);
  await press(page, 'tally-like');
  assert.equal(await pressed(page, 'tally-like'), true);
  await eventually(async () => assert.equal(await countOf(api, TOPIC), 4));
  await assertLike(api, TOPIC, 'somebody-else');
  await shows(page, 'tally-like', 5);
  assert.deepEqual(warnings, []);
}

/**
 * Presses the form without JavaScript.
 * @param {import('node:test').TestContext} t
 * @param {string} url
 * @param {string} api
 */
async function pressWithoutScript(t, url, api) {
  const { open } = await newVisitor(t, browser, { javaScriptEnabled: false, userAgent: `${PERSON} Edg/1` });
  const page = await open(`${url}/posts/hello/`);
  await page.locator('tally-like button').click();
  await eventually(async () => assert.equal(await countOf(api, TOPIC), 6));
  await page.waitForURL(/\/posts\/hello/);
}

/**
 * Signs in on two devices: the heart that one pressed is red on the other. After signing out it is not.
 * @param {import('node:test').TestContext} t
 * @param {string} url
 * @param {string} api
 */
async function pressSignedIn(t, url, api) {
  const heartIs = (/** @type {import('playwright-core').Page} */ page, /** @type {boolean} */ expected) =>
    eventually(async () => assert.equal(await pressed(page, 'tally-like'), expected));
  const signIn = async () => {
    const page = await (await newVisitor(t, browser)).open(`${url}/posts/hello/`);
    await shows(page, 'tally-like', await countOf(api, TOPIC));
    await page.getByLabel('Name').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    const token = page.waitForResponse(/visitor-token/);
    const contributions = page.waitForResponse(/v1\/counts$/); // of the reader
    await page.getByRole('button', { name: 'Sign in' }).click();
    assert.equal((await token).status(), 200);
    await contributions;
    return page;
  };
  const phone = await signIn();
  await press(phone, 'tally-like');
  await eventually(async () => assert.equal(await countOf(api, TOPIC), 7));
  const desk = await signIn();
  await heartIs(desk, true);
  await desk.getByRole('button', { name: 'Sign out' }).click();
  await heartIs(desk, false);
  await heartIs(phone, true);
}

test('Astro: built as files with their numbers, live after', async (t) => {
  const port = await freePort();
  const url = `http://blog.example:${port}`;
  const service = await startService({ flags: [`--allow-origin=${url}`] });
  t.after(() => service.stop());
  for (let i = 0; i < 3; i++) await assertLike(service.url, TOPIC, `visitor-${i}`);
  const dir = await build('astro', { PUBLIC_TALLYCAST_URL: service.url, SITE: url });
  const types = /** @type {Record<string, string>} */ ({ html: 'text/html; charset=utf-8', js: 'text/javascript' });
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '', url).pathname.replace(/\/$/, '/index.html');
    const body = await readFile(join(dir, 'dist', path)).catch(() => undefined);
    response.writeHead(body ? 200 : 404, { 'content-type': types[path.split('.').at(-1) ?? ''] ?? 'text/plain' }).end(body);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await look(t, url, service.url);
  await pressWithoutScript(t, url, service.url);
});

test('Next.js: rendered with its numbers, live after, a server action without a script', async (t) => {
  const port = await freePort();
  const url = `http://blog.example:${port}`;
  const service = await startService({ flags: [`--allow-origin=${url}`, `--server-token=${TOKEN}`, `--visitor-key=${KEY}`] });
  t.after(() => service.stop());
  for (let i = 0; i < 3; i++) await assertLike(service.url, TOPIC, `visitor-${i}`);
  const env = {
    TALLYCAST_URL: service.url, TALLYCAST_SERVER_TOKEN: TOKEN, TALLYCAST_VISITOR_KEY: KEY, SESSION_SECRET: 'the-secret-of-sessions', READER_PASSWORD: PASSWORD, INSECURE_COOKIES: '1',
  };
  const dir = await build('next', env);
  const next = start(process.execPath, ['node_modules/next/dist/bin/next', 'start', '--port', String(port), '--hostname', '127.0.0.1'], { cwd: dir, env: { ...process.env, ...env, NEXT_TELEMETRY_DISABLED: '1' } });
  t.after(() => next.stop());
  await eventually(() => {
    next.check();
    assert.match(next.output(), /Ready/);
  }, START);
  await look(t, url, service.url);
  await pressWithoutScript(t, url, service.url);
  await pressSignedIn(t, url, service.url);
});
