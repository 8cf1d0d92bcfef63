/** The elements, registered, and the client behind them. */
import { configure, shared } from './site.js';
import { defineAll } from './elements.js';

// The script's own URL says where the service is and which site is meant: /tally.js?site=blog
const here = new URL(import.meta.url);
configure(new URL('.', here).href, here.searchParams.get('site'));
defineAll();

export const { client } = shared;
export { pause } from './element.js';
export { consent } from './visit.js';
