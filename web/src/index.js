/** The script /tally.js: registers the elements and exports their client. */
import { connect } from './client.js';
import { defineAll } from './elements.js';
import { configure } from './site.js';

// The script's own URL names the service and the site: /tally.js?site=blog
const url = new URL(import.meta.url);
configure(connect(new URL('.', url).href), url.searchParams.get('site'));

export const { client, pause, consent, identify } = defineAll();
