/** The service's URL, for the browser and for the build. */
export const api = import.meta.env.PUBLIC_TALLYCAST_URL ?? 'http://localhost:8080';

/**
 * Returns the number for a page; undefined if the service is away, and the element gets it later.
 * @param {string} page
 * @returns {Promise<number | undefined>}
 */
export async function likes(page) {
  try {
    return (await (await fetch(`${api}/v1/default/likes/${page}`)).json()).count;
  } catch {
    return undefined;
  }
}
