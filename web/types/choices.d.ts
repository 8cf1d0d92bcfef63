/** @type {Record<string, import('./lazyelement.js').MakeView>} by the element's name */
export declare const views: Record<string, import('./lazyelement.js').MakeView>;
