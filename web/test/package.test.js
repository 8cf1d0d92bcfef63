/** The npm package, packed and installed in another project: its types, its client, and the examples that need no download. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { newVisitor, press, pressed, shows, useBrowser } from './browser.js';
import { startSite } from './site.js';
import { assertLike, countOf, freePort, start, startService } from './process.js';
import { makeProject, run, web } from './project.js';
import { eventually } from './wait.js';

const TOPIC = 'default/likes/post';
const EXAMPLE_TOPIC = 'default/likes/posts/hello';

const browser = useBrowser();
/** A project with the package installed. */
let project = '';

before(async () => void (project = await makeProject(['react', 'react-dom', 'scheduler', '@types', 'esbuild', 'vue', 'svelte'])));
after(async () => {
  if (project) await rm(project, { recursive: true });
});

/**
 * @param {string} name
 * @param {string} text
 * @param {string} api
 */
async function bundle(name, text, api) {
  const path = join(project, name);
  await writeFile(path, text);
  const made = await build({ entryPoints: [path], bundle: true, write: false, format: 'iife', jsx: 'automatic', logLevel: 'silent', define: { API: JSON.stringify(api), 'process.env.NODE_ENV': '"development"' } });
  return made.outputFiles[0].text.replaceAll('</script', '<\\/script');
}

test('the package has its files and no others', async () => {
  const installed = join(project, 'node_modules/@tallycast/web');
  const { private: closed, license, exports, files, publishConfig } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
  assert.equal(closed, undefined);
  assert.equal(publishConfig.access, 'public');
  assert.match(await readFile(join(installed, 'LICENSE'), 'utf8'), new RegExp(`^${license} License`));
  assert.match(await readFile(join(installed, 'README.md'), 'utf8'), /^# @tallycast\/web/);
  assert.deepEqual((await readdir(installed)).sort(), [...files, 'LICENSE', 'README.md', 'package.json'].sort());
  for (const entry of Object.values(exports)) {
    for (const path of typeof entry === 'string' ? [entry] : Object.values(entry)) assert.ok((await readFile(join(installed, path))).length, path);
  }
});

test('the committed types match the sources', async () => {
  await run(join(web, 'node_modules/.bin/tsc'), ['-p', join(web, 'tsconfig.types.json'), '--outDir', join(project, 'types')], project);
  const made = (await readdir(join(project, 'types'))).sort();
  assert.deepEqual((await readdir(join(web, 'types'))).sort(), made, 'run make generate');
  for (const name of made) assert.equal(await readFile(join(web, 'types', name), 'utf8'), await readFile(join(project, 'types', name), 'utf8'), `${name}: run make generate`);
});

test('the types accept correct use and reject wrong use', async () => {
  await writeFile(
    join(project, 'use.tsx'),
    `import { connect, TallyError } from '@tallycast/web';
import { consent, pause, register } from '@tallycast/web/elements';
import { Like, Poll, TallyProvider, Trend, useTally } from '@tallycast/web/react';
register({ api: 'https://counts.example.com', site: 'blog' });
consent(true); pause(false);
const topic = connect({ api: new URL('https://counts.example.com') }).topic('blog/likes/x');
const end: () => void = topic.subscribe(({ count, mine }, source) => { const n: number | undefined = count; const m: number = mine; const s: 'server' | 'visitor' = source; void [n, m, s]; });
topic.like().then(({ mine }) => mine.toFixed(), (error: unknown) => { if (error instanceof TallyError) error.code.toUpperCase(); });
end();
const heart = document.createElement('tally-like');
heart.page = 'x';
heart.addEventListener('tally-change', ({ detail }) => detail.count.toFixed());
document.addEventListener('tally-status', ({ detail }) => detail === 'live');
// @ts-expect-error a topic's name is a string
connect({ api: '' }).topic(7);
// @ts-expect-error there is no such property
heart.pages = 'x';
// @ts-expect-error api is required
connect({});
export function App() {
  const { count, mine, like } = useTally('blog/likes/x', 3);
  return <TallyProvider api="https://counts.example.com">
    <Like page="x" count={count} onChange={({ detail }) => detail.mine} />
    <Poll page="x" options="A,B" results="after" closed onChange={({ detail }) => detail.options?.length} />
    <Trend page="x" days={7} onChange={({ detail }) => detail.count} />
    <tally-rating page="x" withdraw="Undo" />
    <tally-trend page="x" days="7" />
    <tally-top since="7d" />
    <tally-claps page="x" max={10} />
    <tally-reactions reactions="heart" />
    <button onClick={() => like()}>{mine}</button>
    {/* @ts-expect-error there is no such attribute */}
    <tally-top limits={3} />
  </TallyProvider>;
}
`,
  );
  // Node's and the bundlers' module resolution.
  for (const options of [{ module: 'NodeNext' }, { module: 'ESNext', moduleResolution: 'Bundler' }]) {
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { strict: true, noEmit: true, target: 'ES2023', lib: ['ES2024', 'DOM'], jsx: 'react-jsx', types: [], skipLibCheck: false, ...options }, files: ['use.tsx'] }),
    );
    await run(join(web, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.json'], project);
  }
  const made = await build({ entryPoints: [join(project, 'use.tsx')], bundle: true, write: false, format: 'esm', jsx: 'automatic', logLevel: 'silent' });
  assert.match(made.outputFiles[0].text, /customElements\.define/);
});

test('the package can be imported on a server', async () => {
  await writeFile(join(project, 'server.js'), "import { connect } from '@tallycast/web'; import { register } from '@tallycast/web/elements'; import '@tallycast/web/react'; register({ api: 'http://tally.example' }); console.log(connect({ api: 'http://tally.example' }).topic('default/likes/x').state.mine, Object.keys(globalThis).filter((name) => /tally/i.test(name)).length);");
  assert.equal(await run(process.execPath, ['--no-warnings', 'server.js'], project), '0 0\n');
});

test('client without elements: subscribe, like, unlike, refusal with a code', async (t) => {
  const pages = { '/': { tag: '', body: '' } };
  const site = await startSite(t, pages, { flags: ['--new-topic-limit=1/h'] });
  pages['/'].body = `<script>${await bundle(
    'client.js',
    "import { connect } from '@tallycast/web'; const tally = connect({ api: API }); const topic = tally.topic('default/likes/post'); const events = window.events = []; window.leave = tally.topic('default/likes/u\u0308ber/').subscribe(({ count }) => (window.other = count)); window.end = topic.subscribe(({ count, mine }, source) => events.push([count, mine, source])); Object.assign(window, { topic, tally });",
    site.api,
  )}</script>`;
  const { open } = await newVisitor(t, browser);
  const page = await open(site.url);
  const events = () => page.evaluate('events');
  await eventually(async () => assert.deepEqual(await events(), [[0, 0, 'server']]));
  await eventually(async () => assert.equal(await page.evaluate('window.other'), 0, 'a name that is not normalized'));
  assert.deepEqual(await page.evaluate('topic.like()'), { count: 1, mine: 1 });
  await assertLike(site.service.url, TOPIC, 'somebody-else');
  await eventually(async () => assert.deepEqual(await events(), [[0, 0, 'server'], [1, 1, 'visitor'], [2, 1, 'server']]));
  assert.deepEqual(await page.evaluate('topic.unlike()'), { count: 1, mine: 0 });
  assert.equal(await countOf(site.service.url, TOPIC), 1);
  const codes = await page.evaluate(`(async () => {
    const codes = [];
    for (let i = 0; i < 10; i++) await tally.topic('default/likes/new-' + i).like().catch(({ name, code }) => codes.push(name + ' ' + code));
    return [...new Set(codes)];
  })()`);
  assert.deepEqual(codes, ['TallyError rate_limited']);
  await page.evaluate('end(), leave()');
  await eventually(async () => assert.equal(await page.evaluate('tally.status'), 'away'));
});

test('React: rendered on a server, hydrated without a warning, live after', async (t) => {
  const app = `import { Like, Poll, TallyProvider, Trend, useTally } from '@tallycast/web/react';
function Number() { const { count, mine, like } = useTally('default/likes/post', 41); return <button id="own" onClick={() => like()}>{count} of them {mine}</button>; }
function Lunch() { const { options, mine, choose } = useTally('default/poll/lunch'); return <button id="sushi" onClick={() => choose(2)}>{mine}: {options?.slice(0, 2).join()}</button>; }
export const App = ({ api }) => <TallyProvider api={api}><Like page="post" count={41} label="Love it" onChange={({ detail }) => (document.title = 'now ' + detail.count)}><b>41</b></Like><Number /><tally-visitors local={false} /><Lunch /><Poll page="lunch" label="Lunch?" options="Pizza,Sushi"><i>no script</i></Poll></TallyProvider>;`;
  await writeFile(join(project, 'app.jsx'), app);
  const pages = { '/': { tag: '', body: '' } };
  const site = await startSite(t, pages);
  await writeFile(join(project, 'render.jsx'), `import { renderToString } from 'react-dom/server'; import { App } from './app.jsx'; export const html = renderToString(<App api="${site.api}" />);`);
  await build({ entryPoints: [join(project, 'render.jsx')], outfile: join(project, 'render.mjs'), bundle: true, format: 'esm', platform: 'node', packages: 'external', jsx: 'automatic', logLevel: 'silent' });
  const { html } = await import(pathToFileURL(join(project, 'render.mjs')).href);
  assert.match(html, /<tally-like page="post" count="41" label="Love it"><b>41<\/b><\/tally-like><button id="own">41<!-- --> of them <!-- -->0<\/button>/);
  const script = await bundle('hydrate.jsx', "import { hydrateRoot } from 'react-dom/client'; import { App } from './app.jsx'; hydrateRoot(document.getElementById('root'), <App api={API} />, { onRecoverableError: (error) => console.error('hydration: ' + error) });", site.api);
  pages['/'].body = `<div id="root">${html}</div><script>${script}</script>`;
  const { context, open, warnings } = await newVisitor(t, browser);
  let sockets = 0;
  context.on('page', (page) => page.on('websocket', () => sockets++));
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  await eventually(async () => assert.equal(await page.locator('#own').innerText(), '0 of them 0'));
  await page.locator('#own').click();
  await shows(page, 'tally-like', 1);
  await eventually(async () => assert.equal(await page.locator('#own').innerText(), '1 of them 1'));
  await eventually(async () => assert.equal(await page.title(), 'now 1'));
  assert.equal(await page.locator('tally-like button[part=button]').getAttribute('aria-pressed'), 'true');
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  await page.locator('#sushi').click();
  await eventually(async () => assert.equal(await page.locator('#sushi').innerText(), '2: 0,1'));
  assert.equal(await page.getByRole('radio', { name: 'Sushi' }).isChecked(), true);
  await page.getByRole('radio', { name: 'Pizza' }).click();
  await eventually(async () => assert.equal(await page.locator('#sushi').innerText(), '1: 1,0'));
  assert.equal(sockets, 1, 'the hook and the element share one connection');
  assert.equal(await page.locator('tally-visitors').getAttribute('local'), null);
  assert.deepEqual(warnings.filter((text) => !text.includes('React DevTools')), []);
});

test('the README embeds a released script with its integrity', async (t) => {
  const readme = await readFile(join(web, 'README.md'), 'utf8');
  const [tag, name] = /<script [^>]*\/(tally-\w+\.js)"\s+integrity="[^>]*><\/script>/.exec(readme) ?? [];
  assert.ok(tag && name);
  const pages = { '/': { tag: '', body: '<tally-like page="post"></tally-like>' } };
  const site = await startSite(t, pages);
  pages['/'].tag = tag.replace('https://counts.example.com', site.api);
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'tally-like', 0);
  await page.locator('tally-like button').click();
  await eventually(async () => assert.equal(await countOf(site.service.url, TOPIC), 1));
  const { headers } = await fetch(`${site.service.url}/${name}`);
  assert.equal(headers.get('cache-control'), 'public, max-age=31536000, immutable');
  assert.deepEqual(warnings, []);
});

test('the plain example works unchanged', async (t) => {
  const text = await readFile(join(web, 'examples/plain/index.html'), 'utf8');
  const pages = { '/': { tag: '', body: '' } };
  const site = await startSite(t, pages);
  pages['/'].body = text.replace(/^[^]*<body>|<\/body>[^]*$/g, '').replaceAll('http://localhost:8080', site.api);
  const { open, warnings } = await newVisitor(t, browser);
  const page = await open(site.url);
  await shows(page, 'header tally-visitors', 1);
  await shows(page, 'footer tally-visitors', 1);
  await page.getByRole('button', { name: 'Like', exact: true }).click();
  await eventually(async () => assert.equal(await countOf(site.service.url, 'default/likes/my-first-post'), 1));
  assert.deepEqual(warnings, []);
});

for (const name of ['vue', 'svelte']) {
  test(`${name}: rendered on a server, hydrated without a warning, live after`, async (t) => {
    const dir = join(project, name);
    await cp(join(web, 'examples', name), dir, { recursive: true, filter: (path) => !/node_modules|dist$/.test(path) });
    // Only development builds report hydration mismatches.
    const env = { NODE_ENV: 'development' };
    await run(process.execPath, ['build.js'], dir, env);
    const port = await freePort();
    const url = `http://blog.example:${port}`;
    const service = await startService({ flags: [`--allow-origin=${url}`] });
    t.after(() => service.stop());
    for (let i = 0; i < 3; i++) await assertLike(service.url, EXAMPLE_TOPIC, `visitor-${i}`);
    const server = start(process.execPath, ['server.js'], { cwd: dir, env: { ...process.env, ...env, PORT: String(port), TALLYCAST_URL: service.url } });
    t.after(() => server.stop());
    await eventually(() => {
      server.check();
      assert.match(server.output(), /ready/);
    });
    const html = await (await fetch(`http://127.0.0.1:${port}`)).text();
    assert.match(html, /<tally-like page="posts\/hello" count="3"[^>]*>/);
    assert.match(html, /Like \((<!--.*?-->)?3(<!--.*?-->)?\)/);
    const { context, open, warnings } = await newVisitor(t, browser);
    // Remember the element that the server rendered.
    await context.addInitScript(() =>
      addEventListener('DOMContentLoaded', () => (/** @type {any} */ (window).rendered = document.querySelector('tally-like'))),
    );
    const page = await open(url);
    await shows(page, 'tally-like', 3);
    await shows(page, 'tally-visitors', 1);
    assert.equal(await page.evaluate("rendered === document.querySelector('tally-like')"), true, 'hydrated, not created again');
    await press(page, 'tally-like');
    assert.equal(await pressed(page, 'tally-like'), true);
    await eventually(async () => assert.equal(await page.locator('output').innerText(), '4 by visitor'));
    await eventually(async () => assert.equal(await countOf(service.url, EXAMPLE_TOPIC), 4));
    await assertLike(service.url, EXAMPLE_TOPIC, 'somebody-else');
    await eventually(async () => assert.equal(await page.locator('output').innerText(), '5 by server'));
    await page.locator('tally-reactions button').first().click();
    await eventually(async () => assert.equal(await countOf(service.url, 'default/heart/posts/hello'), 1));
    assert.deepEqual(warnings, []);
  });
}
