/** Where the service is: TALLYCAST_URL for the browser and for this server alike. */
export const api = process.env.TALLYCAST_URL ?? 'http://localhost:8080';

/**
 * The likes of posts, by slug, as a page is to be rendered with them. While the service is away
 * pages are rendered all the same; the elements find the numbers when they can.
 * @param {string[]} slugs
 * @returns {Promise<Record<string, number | undefined>>}
 */
export async function likes(slugs) {
  try {
    const topics = slugs.map((slug) => `default/likes/posts/${slug}`);
    const response = await fetch(`${api}/v1/counts`, {
      method: 'POST',
      body: JSON.stringify({ topics }),
      headers: bearer(),
      cache: 'no-store',
    });
    const { counts } = await response.json();
    return Object.fromEntries(slugs.map((slug, i) => [slug, counts[i].count]));
  } catch {
    return {};
  }
}

/** What this server calls itself to the service: --server-token. */
export function bearer() {
  const token = process.env.TALLYCAST_SERVER_TOKEN;
  return token ? { authorization: `Bearer ${token}` } : {};
}
