/** URLs of the views of a topic. */

/**
 * Returns the URL of the view that lists a topic.
 * @param {string} topic
 */
export function linkTo(topic) {
  const [site, metric, ...key] = topic.split('/');
  return `#/topics?${new URLSearchParams({ site, metric, prefix: key.join('/') })}`;
}

/**
 * Returns the URL of the view of a topic's history.
 * @param {string} topic
 */
export const linkToHistory = (topic) => `#/history?${new URLSearchParams({ topic })}`;
