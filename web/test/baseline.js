/** The oldest browsers that the elements, the demo and the dashboard support, and the features that they lack. */
import { createRequire } from 'node:module';

/**
 * Safari 16.4 (March 2023) is the first with constructed style sheets and static class blocks, Firefox 115 the
 * last release for Windows 7 and macOS 10.14, Chrome 111 (March 2023) the first with color-mix().
 */
const BASELINE = /** @type {Record<string, number>} */ ({ chrome: 111, firefox: 115, safari: 16.4 });

const data = createRequire(import.meta.url)('@mdn/browser-compat-data');

const number = (/** @type {unknown} */ version) => (version ? Number.parseFloat(String(version).replace('≤', '')) : Infinity);

/**
 * Reports whether a feature is newer than the baseline in one of its browsers. A partial feature counts.
 * @param {any} compat
 */
const isNewer = (compat) =>
  compat?.support &&
  Object.entries(BASELINE).some(
    ([browser, version]) =>
      ![compat.support[browser]].flat().some(
        (each) => each && !each.flags && !each.prefix && !each.alternative_name && number(each.version_added) <= version && number(each.version_removed) > version,
      ),
  );

/**
 * Lists the features below a node of the data that are newer than the baseline.
 * @param {any} node
 * @param {string[]} [path]
 * @returns {string[][]} their paths
 */
function newerBelow(node, path = []) {
  const found = path.length && isNewer(node.__compat) ? [path] : [];
  for (const [name, child] of Object.entries(node)) if (name !== '__compat') found.push(...newerBelow(child, [...path, name]));
  return found;
}

/**
 * Returns the paths of globals and members that are newer than the baseline. Those of the DOM's static members end
 * in `_static`.
 */
export const newerMembers = () => [...newerBelow(data.api), ...newerBelow(data.javascript.builtins)];

/** @param {RegExp} pattern @param {string} text */
const all = (pattern, text) => [...new Set([...text.matchAll(pattern)].map(([, name]) => name))];

/**
 * Returns the features of a style sheet that are newer than the baseline.
 * @param {string} css
 * @returns {string[]} such as `light-dark()`, `:has()`, `@scope`, `text-wrap`, `text-wrap: pretty`
 */
export function newerStyles(css) {
  const { properties, selectors, types, 'at-rules': atRules } = data.css;
  const text = css.replace(/\/\*[^]*?\*\//g, '').replace(/"[^"]*"|'[^']*'/g, '""');
  const functions = new Set(newerBelow(types).map((path) => String(path.at(-1))));
  const found = [];
  for (const name of all(/@([a-z-]+)/g, text)) if (isNewer(atRules[name]?.__compat)) found.push(`@${name}`);
  for (const name of all(/@media[^{]*\(([a-z-]+)/g, text)) if (isNewer(atRules.media[name]?.__compat)) found.push(`@media (${name})`);
  for (const name of all(/:([a-z-]+)(?=[^{};]*\{)/g, text)) if (isNewer(selectors[name]?.__compat)) found.push(`:${name}`);
  for (const name of all(/([a-z-]+)\(/g, text)) if (functions.has(name)) found.push(`${name}()`);
  // Nested rules are newer, too.
  if (/\{[^{}]*;[^{};]*\{/.test(text.replace(/@(media|supports)[^{]*\{/g, ''))) found.push('nested rules');
  for (const [, name, value] of text.matchAll(/[{;]\s*([a-z-]+)\s*:([^;{}]*)/g)) {
    const property = properties[name];
    if (isNewer(property?.__compat)) found.push(name);
    else for (const word of value.match(/[a-z-]+/g) ?? []) if (property && Object.hasOwn(property, word) && isNewer(property[word].__compat)) found.push(`${name}: ${word}`);
  }
  return [...new Set(found)].sort();
}
