/** The path that the page had last. */
let address = globalThis.location?.pathname;

/** @type {string | undefined} the canonical link of the page before, as long as nobody changes it */
let stale;

/** @returns {string | undefined} the canonical link's address, where there is one */
const canonicalLink = () => /** @type {HTMLLinkElement | null} */ (document.querySelector('link[rel=canonical]'))?.href;

/** Notes that the page may be another one now: then a canonical link that did not change speaks of the one before. */
export function leave() {
  if (address !== (address = location.pathname)) stale = canonicalLink();
}

/**
 * The key of an element: what its `page` attribute says; else the canonical link's path and
 * sorted query; else the location's path. Without trailing slash and index.html; the home
 * page is `index`.
 * @param {string | null} page
 * @returns {string | undefined} undefined where that is no valid key
 */
export function keyOf(page) {
  let key = page;
  try {
    if (key === null) {
      const link = canonicalLink();
      const canonical = link !== stale && link;
      const { pathname, searchParams } = new URL(canonical || location.href);
      searchParams.sort();
      key = decodeURIComponent(pathname).replace(/^\/+(index\.html$)?|\/+(index\.html)?$/g, '') || 'index';
      // Safari before 17 does not know searchParams.size.
      if (canonical && searchParams.toString()) key += '?' + searchParams;
    }
    key = key.normalize().replace(/\/$/, '');
    // No empty, . or .. segment, no control character, no half of one, no brace. One that is too long the
    // server refuses.
    if (!/(^|\/)\.{0,2}(\/|$)|[{}\p{Cc}\p{Cs}]/u.test(key)) return key;
  } catch {
    // A path with a malformed escape.
  }
  return undefined;
}
