export type Open = import('./transport.js').Open;
