/**
 * From here on numbers are shortened. Below it one's own like must be visible.
 */
const LARGE = 10_000;

/** By language: making one takes longer than all else that a change costs. */
const formats = /** @type {Record<string, Intl.NumberFormat>} */ ({});

/**
 * @param {number} count
 * @param {string} [lang] a language tag; the browser's own where it is none, such as `en_US`
 * @returns {{ short: string, exact: string }}
 */
export function format(count, lang) {
  try {
    const exact = (formats[lang + ''] ??= new Intl.NumberFormat(lang)).format(count);
    const compact = /** @type {const} */ ({ notation: 'compact', maximumFractionDigits: 1 });
    return { exact, short: count < LARGE ? exact : count.toLocaleString(lang, compact) };
  } catch {
    return format(count);
  }
}
