/** What makes the gallery a workshop; the widgets do not need it. */
import { pause } from '../tally.js';

/** How long a button says that something was copied, in milliseconds. */
const SAID = 1600;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Elements that count the audience: of the whole site or of a page, and on localhost only when told to. */
const AUDIENCE = ['visitors', 'readers'];

/** What a site may be called, by the contract. */
const SITE = /^(?!(counts|stream|ws|top|admin|history)$)[a-z0-9][a-z0-9-]{0,31}$/;

/** How long a page's key may be, by the contract, in bytes. */
const KEY_BYTES = 256;

/**
 * The origin of an address that starts with http:// or https://.
 * @param {string} address
 * @returns {string} empty if it is none
 */
function originOf(address) {
  try {
    const { protocol, origin } = new URL(address);
    return /^https?:$/.test(protocol) ? origin : '';
  } catch {
    return '';
  }
}

/**
 * What is wrong with the name of a page: a key, a path, or an address of the site.
 * @param {string} page
 * @param {string} origin
 * @returns {string} empty if nothing is
 */
function faultOf(page, origin) {
  let key = page;
  try {
    if (/^(https?:\/)?\//i.test(page)) {
      const url = new URL(page, origin);
      if (url.origin !== origin) return `The page is not on ${origin}.`;
      key = url.pathname;
    }
    key = decodeURIComponent(key).normalize().replace(/^\/+|\/+$/g, '') || 'index';
  } catch {
    return 'The page has a percent sign that begins no percent-encoding.';
  }
  if (/(^|\/)\.{0,2}(\/|$)|[{}\p{Cc}\p{Cs}]/u.test(key)) return 'The page may not have an empty part between slashes, a part that is . or .., a brace, or a control character.';
  if (new TextEncoder().encode(key).length > KEY_BYTES) return `The page is longer than ${KEY_BYTES} bytes.`;
  return '';
}

/** Each embed can be copied, where the browser lets pages write to the clipboard. */
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const embed of document.querySelectorAll('.embed')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.onclick = async () => {
      await navigator.clipboard.writeText(embed.querySelector('code')?.textContent ?? '');
      button.textContent = 'Copied';
      button.classList.add('done');
      setTimeout(() => {
        button.textContent = 'Copy';
        button.classList.remove('done');
      }, SAID);
    };
    embed.append(button);
  }
}

/** All numbers rest while the button is down. */
function offerPause() {
  const button = find('pause');
  button.onclick = () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    pause(on);
  };
  button.hidden = false;
}

/** The knobs dress every element of the page, and the style sheet says how. */
function offerThemes() {
  const knobs = /** @type {HTMLFormElement} */ (document.querySelector('.theming form'));
  const works = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.works'));
  /** @type {Map<string, string>} what was changed, by property */
  const chosen = new Map();
  const show = () => {
    const lines = [...chosen].map(([name, value]) => `  ${name}: ${value};`);
    find('css').textContent = lines.length ? `:root {\n${lines.join('\n')}\n}` : '/* As they come. */';
  };
  knobs.addEventListener('input', ({ target }) => {
    const { name, value, dataset } = /** @type {HTMLInputElement} */ (target);
    const text = name === '--tally-padding' ? `${value}px ${Number(value) * 2}px` : value + (dataset.unit ?? '');
    chosen.set(name, text);
    for (const work of works) work.style.setProperty(name, text);
    show();
  });
  knobs.addEventListener('reset', () => {
    for (const name of chosen.keys()) for (const work of works) work.style.removeProperty(name);
    chosen.clear();
    show();
  });
  show();
}

/** Everything that a page, its policy and the service need, for what the form says. */
function offerEmbeds() {
  const maker = find('maker');
  const form = /** @type {HTMLFormElement} */ (maker.querySelector('form'));
  const answers = /** @type {HTMLElement} */ (maker.querySelector('.answers'));
  const api = new URL('../', import.meta.url);
  const { pinned, integrity } = maker.dataset;
  const quoted = (/** @type {string} */ text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

  /** Shows what is wrong with the fields, and returns whether anything is. @param {Record<string, string>} faults by field */
  const check = (faults) => {
    for (const [name, fault] of Object.entries(faults)) {
      const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
      if (fault) field.setAttribute('aria-invalid', 'true');
      else field.removeAttribute('aria-invalid');
    }
    const text = Object.values(faults).filter(Boolean).join(' ');
    const wrong = find('wrong');
    if (wrong.textContent !== text) wrong.textContent = text;
    answers.hidden = text !== '';
    return text !== '';
  };

  /** The element at work, with a topic of the gallery's own. @param {string} element @param {Record<string, string>} attributes */
  const preview = (element, attributes) => {
    const place = find('preview');
    const shown = document.createElement(`tally-${element}`);
    const all = { ...attributes, page: 'gallery', ...(AUDIENCE.includes(element) && { local: '' }) };
    for (const [name, value] of Object.entries(all)) shown.setAttribute(name, value);
    if (!place.firstElementChild?.isEqualNode(shown)) place.replaceChildren(shown);
  };

  const show = () => {
    const said = new FormData(form);
    const [element, page, site, address, scope] = ['element', 'page', 'site', 'origin', 'scope'].map((name) => String(said.get(name) ?? '').trim());
    const audience = AUDIENCE.includes(element);
    for (const each of /** @type {NodeListOf<HTMLElement>} */ (maker.querySelectorAll('.only-audience'))) each.hidden = !audience;
    const origin = originOf(address);
    const wrong = check({
      origin: origin ? '' : 'Your site is an address such as https://blog.example.com.',
      site: !site || SITE.test(site) ? '' : 'A site’s name has up to 32 small letters, digits and hyphens, begins with no hyphen, and is not one of counts, stream, ws, top, admin and history.',
      page: page && origin ? faultOf(page, origin) : '',
    });
    if (wrong) return;
    const named = site && site !== 'default' ? `?site=${site}` : '';
    const pin = said.get('pin') === 'on';
    const url = `${api.href}${pin ? pinned : 'tally.js'}${named}`;
    const script = `<script type="module" src="${quoted(url)}"${pin ? `\n  integrity="${integrity}" crossorigin` : ''}></script>`;
    const attributes = {
      ...(page && { page }),
      ...(element === 'top' && { limit: '10' }),
      ...(audience && scope && { scope }),
      ...(audience && said.get('local') === 'on' && { local: '' }),
    };
    const text = Object.entries(attributes).map(([name, value]) => (value ? ` ${name}="${quoted(value)}"` : ` ${name}`));
    find('tag').textContent = `${script}\n\n<tally-${element}${text.join('')}></tally-${element}>`;
    find('policy').textContent = `script-src ${api.origin};\nconnect-src ${api.origin} ${api.origin.replace('http', 'ws')};`;
    find('flag').textContent = `tallycast ${named ? `--site ${site}=${origin}` : `--allow-origin ${origin}`} --demo=false`;
    preview(element, attributes);
  };
  form.addEventListener('input', show);
  form.addEventListener('submit', (event) => event.preventDefault());
  show();
  maker.hidden = false;
}

offerPause();
offerThemes();
offerEmbeds();
offerCopies();
