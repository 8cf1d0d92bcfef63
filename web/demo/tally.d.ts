// The demo's scripts import /tally.js, one folder up.
export * from '../src/index.js';
