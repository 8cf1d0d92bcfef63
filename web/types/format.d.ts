/**
 * @param {number} count
 * @param {string} [lang] a language tag; the browser's own where it is none, such as `en_US`
 * @returns {{ short: string, exact: string }}
 */
export declare function format(count: number, lang?: string): {
    short: string;
    exact: string;
};
