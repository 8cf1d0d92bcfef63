/** The examples, as they stand: built, rendered on their servers, hydrated and pressed. */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, newVisitor, press, pressed, shows } from './browser.js';
import { assertLike, countOf, freePort, start, startService } from './process.js';
import { makeProject, run, web } from './project.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/posts/hello';

/** @type {import('playwright-core').Browser} */
let browser;
/** A directory in which the examples find their packages. */
let project = '';

before(async () => {
  browser = await launch();
  project = await makeProject(['esbuild', 'vue', 'svelte']);
});
after(async () => {
  await browser?.close();
  if (project) await rm(project, { recursive: true });
});

for (const name of ['vue', 'svelte']) {
  test(`${name}: rendered on a server, hydrated without a warning, live after`, async (t) => {
    const dir = join(project, name);
    await cp(join(web, 'examples', name), dir, { recursive: true, filter: (path) => !/node_modules|dist$/.test(path) });
    // In development it tells what it finds other than it rendered it.
    const env = { NODE_ENV: 'development' };
    run(process.execPath, ['build.js'], dir, env);
    const port = await freePort();
    const url = `http://blog.example:${port}`;
    const service = await startService({ flags: [`--allow-origin=${url}`] });
    t.after(() => service.stop());
    for (let i = 0; i < 3; i++) await assertLike(service.url, TOPIC, `visitor-${i}`);
    const server = start(process.execPath, ['server.js'], { cwd: dir, env: { ...process.env, ...env, PORT: String(port), TALLYCAST_URL: service.url } });
    t.after(() => server.stop());
    await eventually(() => {
      server.check();
      assert.match(server.output(), /ready/);
    });
    const html = await (await fetch(`http://127.0.0.1:${port}`)).text();
    assert.match(html, /<tally-like page="posts\/hello" count="3"[^>]*>/);
    assert.match(html, /Like \((<!--.*?-->)?3(<!--.*?-->)?\)/);
    const { context, open, complaints } = await newVisitor(t, browser);
    // The heart that the server rendered, to be recognised.
    await context.addInitScript(() =>
      addEventListener('DOMContentLoaded', () => (/** @type {any} */ (window).rendered = document.querySelector('tally-like'))),
    );
    const page = await open(url);
    await shows(page, 'tally-like', 3);
    await shows(page, 'tally-visitors', 1);
    assert.equal(await page.evaluate("rendered === document.querySelector('tally-like')"), true, 'hydrated, not made anew');
    await press(page, 'tally-like');
    assert.equal(await pressed(page, 'tally-like'), true);
    await eventually(async () => assert.equal(await page.locator('output').innerText(), '4 by visitor'));
    await eventually(async () => assert.equal(await countOf(service.url, TOPIC), 4));
    await assertLike(service.url, TOPIC, 'somebody-else');
    await eventually(async () => assert.equal(await page.locator('output').innerText(), '5 by server'));
    await page.locator('tally-reactions button').first().click();
    await eventually(async () => assert.equal(await countOf(service.url, 'default/heart/posts/hello'), 1));
    assert.deepEqual(complaints, []);
  });
}
