export { confirmLater, fetchContributions } from './contributions.js';
export type Open = import('./transport.js').Open;
