/** Numbers from here on are shortened. Below, one's own like must be visible. */
const LARGE = 10_000;

/** By language: making a formatter costs more than the rest of a change. */
const formatters = /** @type {Record<string, Intl.NumberFormat>} */ ({});

/**
 * @param {number} count
 * @param {string} [lang] a language tag; an invalid one, such as `en_US`, means the browser's language
 * @returns {{ short: string, exact: string }}
 */
export function format(count, lang) {
  try {
    const exact = (formatters[lang + ''] ??= new Intl.NumberFormat(lang)).format(count);
    const compact = /** @type {const} */ ({ notation: 'compact', maximumFractionDigits: 1 });
    return { exact, short: count < LARGE ? exact : count.toLocaleString(lang, compact) };
  } catch {
    return format(count);
  }
}
