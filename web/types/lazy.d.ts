/**
 * Loads the code that few pages need. In /tally.js it is a second script. Scripts named by their hash include
 * it, so that the integrity in a page covers all code that runs.
 * @returns {Promise<typeof import('./fallback.js')>}
 */
export declare const lazy: () => Promise<typeof import('./fallback.js')>;
/** Loads the code for readers who sign in. */
export declare const signIn: () => Promise<typeof import("./signin.js")>;
