export type Point = {
    at: string;
    count: number;
};
/**
 * @param {import('./trend.js').Trend} element
 * @param {string} api the service's URL
 * @returns {import('./lazyelement.js').View}
 */
export declare function trend(element: import('./trend.js').Trend, api: string): import('./lazyelement.js').View;
