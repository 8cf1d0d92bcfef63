/**
 * What few pages need, loaded when one does. In the bundle of /tally.js they are a script
 * of their own; in the scripts named by their hash they are included, so that the integrity which a
 * page states covers all that runs.
 * @returns {Promise<typeof import('./fallback.js')>}
 */
export declare const rare: () => Promise<typeof import('./fallback.js')>;
