// To the demo's pages the script is one directory up.
export * from '../src/index.js';
