/**
 * How the address of a page becomes the key of its topics: the rule of internal/pagekey, whose golden
 * file tests both. An address is a URL of this site, a path with a leading slash, or a path without one.
 */

/**
 * How far apart a navigation and the change of the canonical link that belongs to it may be, in
 * milliseconds: some routers write the head before the address.
 */
const SETTLE = 1000;

/** @type {{ link: HTMLLinkElement | null, href?: string, path: string } | undefined} what the last look at the page found */
let seen;

/** @type {string | undefined} the path of the page that the canonical link speaks of */
let owner;

/** When the canonical link changed last, and when the path did; 0 since the page was loaded. */
let changed = 0;
let moved = 0;

const here = () => location.pathname.replace(/\/(index\.html)?$/, '');

/** @returns {HTMLLinkElement | null} */
const canonicalLink = () => document.querySelector('link[rel~=canonical]');

/** Notes that the router wrote the whole head for this page, the canonical link even if it is the same. */
export const written = () => void (changed = Date.now());

/**
 * Looks at the path and the canonical link, and decides of which page the link speaks: of the one on
 * which it was written, or of the one that the router was about to show.
 */
function look() {
  const link = canonicalLink();
  const href = link?.href;
  const path = here();
  const now = Date.now();
  const before = seen;
  seen = { link, href, path };
  if (before && path !== before.path) moved = now;
  if (!before || document.readyState === 'loading') owner = path;
  else if (link !== before.link || href !== before.href) changed = now;
  if (now - changed < SETTLE) owner = path;
}

/**
 * For how many milliseconds {@link address} may still change although nobody navigates: the router may not
 * have written the canonical link yet.
 */
export const unsettled = () => (canonicalLink() && owner === here() ? 0 : Math.max(0, moved + SETTLE - Date.now()));

/** The address of this page: the canonical link, if it speaks of this page, or the location without its query. */
export function address() {
  look();
  try {
    const url = new URL(/** @type {HTMLLinkElement} */ (canonicalLink()).href);
    if (owner === here() && url.pathname[0] === '/') return url;
  } catch {
    // There is no canonical link, or it is no URL.
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
  // Safari before 17 does not know URLSearchParams.size.
  if (`${query ?? ''}`) key += '?' + query;
  key = key.normalize();
  // No empty, . or .. segment, no control character, no half of a surrogate pair, no brace. The
  // server refuses one that is too long.
  if (/(^|\/)\.{0,2}(\/|$)|[{}\p{Cc}\p{Cs}]/u.test(key)) throw key;
  return key;
}

/**
 * The key of the page at an address.
 * @param {string | null} page null for this page
 * @returns {string | undefined} undefined if the address has no key, or is a URL of another site
 */
export function keyOf(page) {
  try {
    const text = page?.trim();
    if (text === '' || /[\p{Cc}\p{Cs}]/u.test(text ?? '')) return undefined;
    if (text && !/^(https?:\/)?\//i.test(text)) return keyOfPath(text);
    const url = text ? new URL(text, document.baseURI) : address();
    const sites = [location.href, document.baseURI, canonicalLink()?.href ?? ''];
    if (!text || sites.some((site) => site.split('/')[2] === url.host)) return keyOfPath(url.pathname, url.searchParams);
  } catch {
    // A malformed escape, no URL, or no key.
  }
  return undefined;
}
