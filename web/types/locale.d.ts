/**
 * Returns a language tag in the form that Intl takes; undefined, the browser's language, for none and an invalid one such
 * as `en_US`.
 * @param {string | null} [lang]
 * @returns {string | undefined}
 */
export declare function localeOf(lang?: string | null): string | undefined;
