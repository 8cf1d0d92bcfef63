/** The service's URL, for the browser and for this server. */
export const api = process.env.TALLYCAST_URL ?? 'http://localhost:8080';

/**
 * Returns the likes of posts by slug; empty if the service is away, and the elements get them later.
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

/** Returns the header with the service's --server-token. */
export function bearer() {
  const token = process.env.TALLYCAST_SERVER_TOKEN;
  return token ? { authorization: `Bearer ${token}` } : {};
}
