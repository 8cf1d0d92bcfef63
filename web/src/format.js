/**
 * From here on numbers are shortened. Below it one's own like must be visible.
 */
const LARGE = 10_000;

/** By language: making one takes longer than all else that a change costs. */
const formats = /** @type {Record<string, Intl.NumberFormat>} */ ({});

/**
 * @param {number} count
 * @param {string | undefined} lang a language tag
 * @returns {{ short: string, exact: string }}
 */
export function format(count, lang) {
  const exact = (formats[lang + ''] ??= new Intl.NumberFormat(lang)).format(count);
  const compact = /** @type {const} */ ({ notation: 'compact', maximumFractionDigits: 1 });
  return { exact, short: count < LARGE ? exact : count.toLocaleString(lang, compact) };
}
