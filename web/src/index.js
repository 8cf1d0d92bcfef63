/** The elements, registered, and the client behind them. */
import { defineAll } from './elements.js';
import { configure } from './site.js';

// The script's own URL says where the service is and which site is meant: /tally.js?site=blog
const here = new URL(import.meta.url);
configure(new URL('.', here).href, here.searchParams.get('site'));

export const { client, pause, consent } = defineAll();
