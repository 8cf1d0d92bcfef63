/**
 * From here on numbers are shortened. Below it one's own like must be visible.
 */
const LARGE = 10_000;

/**
 * @param {number} count
 * @param {string | undefined} lang a language tag
 * @returns {{ short: string, exact: string }}
 */
export function format(count, lang) {
  const exact = count.toLocaleString(lang);
  const compact = /** @type {const} */ ({ notation: 'compact', maximumFractionDigits: 1 });
  return { exact, short: count < LARGE ? exact : count.toLocaleString(lang, compact) };
}
