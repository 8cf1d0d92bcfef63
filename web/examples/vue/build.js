/** Bundles the page for the browser and for the server. Vite's plugin does the same. */
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { compileScript, parse } from 'vue/compiler-sfc';

const mode = process.env.NODE_ENV ?? 'production';

/** @param {boolean} ssr */
const vue = (ssr) => ({
  name: 'vue',
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      // Vue must know that these are elements of the browser, not components.
      const templateParseOptions = { isCustomElement: (tag) => tag.startsWith('tally-') };
      const { descriptor } = parse(await readFile(path, 'utf8'), { filename: path, templateParseOptions });
      const templateOptions = { ssr, ssrCssVars: [], compilerOptions: templateParseOptions };
      const { content } = compileScript(descriptor, { id: 'app', inlineTemplate: true, templateOptions });
      return { contents: content, loader: 'js' };
    });
  },
});

const define = {
  'process.env.NODE_ENV': JSON.stringify(mode),
  __VUE_OPTIONS_API__: 'false',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};
await build({ entryPoints: ['client.js'], outdir: 'dist', bundle: true, format: 'esm', minify: mode === 'production', define, plugins: [vue(false)] });
await build({ entryPoints: ['render.js'], outdir: 'dist', bundle: true, format: 'esm', platform: 'node', packages: 'external', plugins: [vue(true)] });
