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
  const exact = new Intl.NumberFormat(lang).format(count);
  const short =
    count < LARGE
      ? exact
      : new Intl.NumberFormat(lang, { notation: 'compact', maximumFractionDigits: 1 }).format(count);
  return { short, exact };
}
