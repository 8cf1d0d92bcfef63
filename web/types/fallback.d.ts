export { ask } from './ask.js';
export type Open = import('./transport.js').Open;
