/**
 * @param {number} count
 * @param {string} [lang] a language tag; an invalid one, such as `en_US`, means the browser's language
 * @returns {{ short: string, exact: string }}
 */
export declare function format(count: number, lang?: string): {
    short: string;
    exact: string;
};
