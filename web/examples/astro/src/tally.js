/** Where the service is, for the browser and for the build alike. */
export const api = import.meta.env.PUBLIC_TALLYCAST_URL ?? 'http://localhost:8080';

/**
 * The number to build a page with; while the service is away there is none, and the element finds it later.
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
