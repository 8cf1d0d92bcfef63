import { connect } from './client.js';

/** The script's own URL says where the service is and which site is meant: /tally.js?site=blog */
const here = new URL(import.meta.url);

/** The client that all elements of the page share. */
export const client = connect(new URL('.', here).href);

/** The site of elements that name none. */
export const site = here.searchParams.get('site') ?? 'default';
