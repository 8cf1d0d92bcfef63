/** Bundles the page for the browser and for the server. SvelteKit does the same. */
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { compile } from 'svelte/compiler';

const dev = process.env.NODE_ENV === 'development';

/** @param {'client' | 'server'} generate */
const svelte = (generate) => ({
  name: 'svelte',
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => ({ contents: compile(await readFile(path, 'utf8'), { filename: path, generate, dev }).js.code, loader: 'js' }));
  },
});

const conditions = ['svelte', ...(dev ? ['development'] : [])];
await build({ entryPoints: ['client.js'], outdir: 'dist', bundle: true, format: 'esm', minify: !dev, conditions, plugins: [svelte('client')] });
await build({ entryPoints: ['render.js'], outdir: 'dist', bundle: true, format: 'esm', platform: 'node', packages: 'external', plugins: [svelte('server')] });
