/** The client and the site that all elements of a page share. */
export const shared = {
  client: /** @type {import('./client.js').Client} */ ({}),
  /** The site of elements that name none. */
  site: 'default',
};

/**
 * @param {import('./client.js').Client} client
 * @param {string | null} [site] of elements that name none
 */
export function configure(client, site) {
  shared.client = client;
  if (site) shared.site = site;
}
