/** Pages with much to show: what they cost, and that it does not grow. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, newVisitor } from './browser.js';
import { startSite } from './site.js';
import { assertLike } from './process.js';
import { storm } from './traffic.js';
import { eventually } from './wait.js';

/** Over how many updates that reach the page their cost is measured. */
const MEASURED = 5000;

/** What scripts may take of a core, where a page of 500 elements gets 1,000 updates a second. */
const SHARE = 0.1;

/** How long a busy machine may take for what is to take seconds, in milliseconds. */
const DEADLINE = 90_000;

/** How many updates a page gets while it is watched for growth: ten minutes of 12 a second. */
const UPDATES = 7200;

/** Within how long it gets them, in seconds: MEMORY_SECONDS=600 takes the ten minutes themselves. */
const WATCHED = Number(process.env.MEMORY_SECONDS ?? 18);

/**
 * What the heap may grow by while it is watched, in bytes: what caches and the engine's own tables
 * still take, 51 KiB in half a minute and 125 KiB in ten minutes. A leak of 40 bytes an update would be over it.
 */
const GROWTH = 262_144;

/** Nobody's presses are limited here. */
const UNLIMITED = ['--rate-limit=off', '--new-topic-limit=off', '--read-limit=off'];

/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/**
 * Opens a page that is high enough for everything to be near the viewport.
 * @param {import('node:test').TestContext} t
 * @param {string} url
 */
async function openHigh(t, url) {
  const { context, open, complaints } = await newVisitor(t, browser, { viewport: { width: 1280, height: 3000 } });
  await context.addInitScript(() => {
    const w = /** @type {any} */ (window);
    Object.assign(w, { loads: 0, changes: 0, messages: 0 });
    w.WebSocket = class extends WebSocket {
      constructor(/** @type {string} */ url) {
        super(url);
        this.addEventListener('message', () => w.messages++);
      }
    };
    addEventListener('tally-load', () => w.loads++);
    addEventListener('tally-change', () => w.changes++);
  });
  const page = await open(url);
  return { page, complaints, cdp: await context.newCDPSession(page) };
}

/** @param {number} count */
const names = (count) => Array.from({ length: count }, (_, i) => `page-${i}`);

test('500 elements at 1,000 updates a second: scripts use less than a tenth of a core', async (t) => {
  const pages = names(500);
  const site = await startSite(t, { '/': { body: pages.map((name) => `<tally-like page="${name}"></tally-like>`).join(' ') } }, { flags: UNLIMITED });
  const { page, cdp, complaints } = await openHigh(t, site.url);
  await eventually(async () => assert.equal(await page.evaluate('loads'), 500), DEADLINE);
  // Processor time of the page's own thread: what else runs on this machine is not in it.
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const used = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    const of = (/** @type {string} */ name) => metrics.find((metric) => metric.name === name)?.value ?? NaN;
    return { script: of('ScriptDuration'), all: of('TaskDuration'), changes: await page.evaluate('changes'), updates: await page.evaluate('messages') };
  };
  const load = storm(site.service.url, pages.map((name) => `default/likes/${name}`), 1000);
  t.after(() => load.end());
  // Each element has changed, and what runs often is compiled.
  await eventually(async () => assert.ok((await page.evaluate('changes')) > 1000), DEADLINE);
  const [before, since] = [await used(), Date.now()];
  await eventually(async () => assert.ok((await page.evaluate('messages')) >= before.updates + MEASURED), DEADLINE);
  const [now, seconds] = [await used(), (Date.now() - since) / 1000];
  const [updates, changes] = [now.updates - before.updates, now.changes - before.changes];
  load.end();
  assert.equal(load.failure(), undefined);
  // Where the machine is busy updates come more slowly; what each costs is what counts.
  const share = (/** @type {number} */ used) => (used / updates) * 1000;
  const percent = (/** @type {number} */ value) => `${(value * 100).toFixed(1)} %`;
  t.diagnostic(
    `${(updates / seconds).toFixed()} updates and ${(changes / seconds).toFixed()} visible changes a second; of a core, at 1,000 updates a second: scripts ${percent(share(now.script - before.script))}, with layout and painting ${percent(share(now.all - before.all))}`,
  );
  assert.ok(changes > 500, 'the page shows them');
  assert.ok(share(now.script - before.script) < SHARE);
  assert.deepEqual(complaints, []);
});

test('memory does not grow under steady changes', async (t) => {
  const pages = names(24);
  const body = pages
    .map((name) => `<p><tally-like page="${name}"></tally-like> <tally-claps page="${name}"></tally-claps> <tally-reactions page="${name}" reactions="heart,party"></tally-reactions> <tally-count page="${name}"></tally-count></p>`)
    .join('');
  const site = await startSite(t, { '/': { body: `${body}<tally-visitors></tally-visitors> <tally-readers></tally-readers> <tally-top></tally-top>` } }, { flags: UNLIMITED });
  const topics = pages.flatMap((name) => ['likes', 'claps', 'heart', 'party'].map((metric) => `default/${metric}/${name}`));
  for (const topic of topics) await assertLike(site.service.url, topic, 'somebody-else');
  await eventually(async () => assert.equal((await (await fetch(`${site.service.url}/v1/top/default/likes`)).json()).top.length, 10));
  const { page, cdp, complaints } = await openHigh(t, site.url);
  await eventually(async () => assert.equal(await page.evaluate('loads'), pages.length * 5 + 12), DEADLINE);
  await cdp.send('Performance.enable');
  const held = async () => {
    // Twice: what the first round finalises the second frees.
    for (let i = 0; i < 2; i++) await cdp.send('HeapProfiler.collectGarbage');
    const { metrics } = await cdp.send('Performance.getMetrics');
    const of = (/** @type {string} */ name) => metrics.find((metric) => metric.name === name)?.value ?? NaN;
    return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  };
  const load = storm(site.service.url, topics, UPDATES / WATCHED);
  t.after(() => load.end());
  await eventually(async () => assert.ok((await page.evaluate('changes')) > topics.length), DEADLINE);
  const first = await held();
  const before = load.changed();
  /** @type {string[]} */
  const seen = [];
  for (let part = 1; part <= 6; part++) {
    await eventually(() => assert.ok(load.changed() - before >= (UPDATES * part) / 6), WATCHED * 1000 + DEADLINE);
    const { heap } = await held();
    seen.push(`${Math.round((heap - first.heap) / 1024)}`);
  }
  const changed = load.changed() - before;
  load.end();
  assert.equal(load.failure(), undefined);
  const last = await held();
  t.diagnostic(
    `${WATCHED} s, ${changed} updates: heap ${Math.round(first.heap / 1024)} KiB, then by KiB ${seen.join(', ')}; nodes ${first.nodes} to ${last.nodes}, listeners ${first.listeners} to ${last.listeners}`,
  );
  assert.ok(last.heap - first.heap < GROWTH, 'the heap grew');
  assert.ok(last.nodes <= first.nodes + 50, 'nodes were left behind');
  assert.ok(last.listeners <= first.listeners + 5, 'listeners were left behind');
  assert.deepEqual(complaints, []);
});
