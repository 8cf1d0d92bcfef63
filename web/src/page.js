/**
 * How the address of a page becomes the key of its topics: the rule of internal/pagekey. One golden file
 * tests both. An address is a URL of this site, a path with a leading slash, or a path without one.
 */

/**
 * How far apart a navigation and the change of its canonical link may be, in milliseconds: some routers
 * write the head before the address.
 */
const SETTLE_TIME = 1000;

/** @type {string | undefined} the path at the last check */
let lastPath;

/** @type {HTMLLinkElement | null} the canonical link at the last check */
let lastLink;

/** @type {string | undefined} its address */
let lastHref;

/** @type {string | undefined} the path of the page that the canonical link belongs to */
let linkPath;

/** When the canonical link changed last, and when the path did; 0 if they did not since the page was loaded. */
let linkChanged = 0;
let pathChanged = 0;

const currentPath = () => location.pathname.replace(/\/(index\.html)?$/, '');

/** @returns {HTMLLinkElement | null} */
const canonicalLink = () => document.querySelector('link[rel~=canonical]');

/** Notes that the router wrote the whole head for this page, even if the canonical link is the same. */
export const noteNewHead = () => void (linkChanged = Date.now());

/** Checks the path and the canonical link, and decides whether the link belongs to the current page. */
function check() {
  const link = canonicalLink();
  const href = link?.href;
  const path = currentPath();
  const now = Date.now();
  const first = lastPath === undefined;
  if (!first && path !== lastPath) pathChanged = now;
  if (first || document.readyState === 'loading') linkPath = path;
  else if (link !== lastLink || href !== lastHref) linkChanged = now;
  [lastPath, lastLink, lastHref] = [path, link, href];
  if (now - linkChanged < SETTLE_TIME) linkPath = path;
}

/**
 * Returns for how many milliseconds {@link address} may still change without a navigation: the router may
 * not have written the canonical link yet.
 */
export const settleDelay = () => (canonicalLink() && linkPath === currentPath() ? 0 : Math.max(0, pathChanged + SETTLE_TIME - Date.now()));

/** Returns the address of this page: the canonical link if it belongs to this page, or the location without its query. */
export function address() {
  check();
  try {
    const url = new URL(/** @type {HTMLLinkElement} */ (canonicalLink()).href);
    if (linkPath === currentPath() && url.pathname[0] === '/') return url;
  } catch {
    // There is no canonical link, or it is not a URL.
  }
  const url = new URL(location.href);
  url.search = '';
  return url;
}

/**
 * @param {string} escaped
 * @param {URLSearchParams} [query]
 */
function keyOfPath(escaped, query) {
  let key = decodeURIComponent(escaped).replace(/^\/*(index\.html$)?|\/+(index\.html)?$/g, '') || 'index';
  query?.sort();
  // Safari before 17 does not have URLSearchParams.size.
  if (`${query ?? ''}`) key += '?' + query;
  key = key.normalize();
  // An empty, . or .. segment, a brace, a control character, half of a surrogate pair. The service checks the length.
  if (/(^|\/)\.{0,2}(\/|$)|[{}\p{Cc}\p{Cs}]/u.test(key)) throw key;
  return key;
}

/**
 * Returns the key of the page at an address.
 * @param {string | null} page null for this page
 * @param {string[]} [sites] URLs of this site; an address without a host is on the first
 * @returns {string | undefined} undefined if the address has no key, or is on another site
 */
export function keyOf(page, sites = [document.baseURI, location.href, canonicalLink()?.href ?? '']) {
  try {
    const text = page?.trim();
    if (text === '' || /[\p{Cc}\p{Cs}]/u.test(text ?? '')) return undefined;
    if (text && !/^(https?:\/)?\//i.test(text)) return keyOfPath(text);
    const url = text ? new URL(text, sites[0]) : address();
    if (!text || sites.some((site) => site.split('/')[2] === url.host)) return keyOfPath(url.pathname, url.searchParams);
  } catch {
    // A malformed escape, no URL, or no key.
  }
  return undefined;
}
