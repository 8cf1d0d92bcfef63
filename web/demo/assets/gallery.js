/** The gallery's controls. The elements do not need them. */
import { keyOf } from '../../src/page.js';
import { pause } from '../tally.js';

/** How long a button says that something was copied, in milliseconds. */
const COPIED_DURATION = 1600;

/** Elements that count visitors: of the whole site or of a page, and on localhost only with `local`. */
const AUDIENCE = ['visitors', 'readers'];

/** A site's name, by the service's rule. */
const SITE = /^(?!(counts|stream|ws|top|admin|history)$)[a-z0-9][a-z0-9-]{0,31}$/;

/** The longest key that the service takes, in bytes. */
const KEY_BYTES = 256;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Returns the origin of an http or https URL; empty if the address is none.
 * @param {string} address
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
 * Returns what is wrong with the name of a page; empty if nothing is.
 * @param {string} page
 * @param {string} origin
 */
function pageError(page, origin) {
  const key = keyOf(page, [origin]);
  if (key === undefined) {
    return `The page is not on ${origin}, or is not a valid path. A path has no empty part between slashes, no part . or .., no brace and no control character; write a percent sign as %25.`;
  }
  return new TextEncoder().encode(key).length > KEY_BYTES ? `The page is longer than ${KEY_BYTES} bytes.` : '';
}

/** Adds a copy button to each piece of code, if pages may write to the clipboard. */
function addCopyButtons() {
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
      }, COPIED_DURATION);
    };
    embed.append(button);
  }
}

/** Folds code and further examples on a phone: the page would be twelve screens long. */
function fold() {
  if (!matchMedia('(max-width: 34rem)').matches) return;
  for (const part of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll('.fold, .examples'))) part.open = false;
}

/** Pauses all numbers while the button is pressed. */
function addPause() {
  const button = find('pause');
  button.onclick = () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    pause(on);
  };
  button.hidden = false;
}

/** Applies the controls to every sample and shows the style sheet for them. */
function addTheming() {
  const form = /** @type {HTMLFormElement} */ (document.querySelector('.theming form'));
  const samples = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.samples'));
  /** @type {Map<string, string>} values by property */
  const changed = new Map();
  const show = () => {
    const lines = [...changed].map(([name, value]) => `  ${name}: ${value};`);
    find('css').textContent = lines.length ? `:root {\n${lines.join('\n')}\n}` : '/* The defaults. */';
  };
  form.addEventListener('input', ({ target }) => {
    const { name, value, dataset } = /** @type {HTMLInputElement} */ (target);
    const text = name === '--tally-padding' ? `${value}px ${Number(value) * 2}px` : value + (dataset.unit ?? '');
    changed.set(name, text);
    for (const sample of samples) sample.style.setProperty(name, text);
    const output = /** @type {HTMLInputElement} */ (target).labels?.[0]?.querySelector('output');
    if (output) output.value = text;
    show();
  });
  form.addEventListener('reset', () => {
    for (const name of changed.keys()) for (const sample of samples) sample.style.removeProperty(name);
    changed.clear();
    show();
  });
  show();
}

/** Shows the code of the badge with the service's address, since it is for pages elsewhere. */
function showBadge() {
  const code = find('badge');
  code.textContent = (code.textContent ?? '').replace(/(?<=src=")[^"]*/, (path) => new URL(path, import.meta.url).href);
}

/** Shows what a page, its policy and the service need, for the fields of the form. */
function addBuilder() {
  const builder = find('builder');
  const form = /** @type {HTMLFormElement} */ (builder.querySelector('form'));
  const result = /** @type {HTMLElement} */ (builder.querySelector('.result'));
  const api = new URL('../', import.meta.url);
  const { pinned, integrity } = builder.dataset;
  const escape = (/** @type {string} */ text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

  /** Shows the errors, and returns whether there are any. @param {Record<string, string>} errors by field */
  const showErrors = (errors) => {
    for (const [name, error] of Object.entries(errors)) {
      const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
      if (error) field.setAttribute('aria-invalid', 'true');
      else field.removeAttribute('aria-invalid');
    }
    const text = Object.values(errors).filter(Boolean).join(' ');
    const place = find('form-error');
    if (place.textContent !== text) place.textContent = text;
    result.hidden = text !== '';
    return text !== '';
  };

  /** Shows the element with a topic of the gallery. @param {string} element @param {Record<string, string>} attributes */
  const showPreview = (element, attributes) => {
    const place = find('preview');
    const preview = document.createElement(`tally-${element}`);
    const all = { ...attributes, page: 'gallery', ...(AUDIENCE.includes(element) && { local: '' }) };
    for (const [name, value] of Object.entries(all)) preview.setAttribute(name, value);
    if (!place.firstElementChild?.isEqualNode(preview)) place.replaceChildren(preview);
  };

  const show = () => {
    const data = new FormData(form);
    const [element, page, site, address, scope] = ['element', 'page', 'site', 'origin', 'scope'].map((name) => String(data.get(name) ?? '').trim());
    const audience = AUDIENCE.includes(element);
    for (const each of /** @type {NodeListOf<HTMLElement>} */ (builder.querySelectorAll('.only-audience'))) each.hidden = !audience;
    const origin = originOf(address);
    const failed = showErrors({
      origin: origin ? '' : 'Your site is an address such as https://blog.example.com.',
      site: !site || SITE.test(site) ? '' : 'A site’s name has up to 32 small letters, digits and hyphens, and begins with no hyphen. The names counts, stream, ws, top, admin and history are reserved.',
      page: page && origin ? pageError(page, origin) : '',
    });
    if (failed) return;
    const query = site && site !== 'default' ? `?site=${site}` : '';
    const pin = data.get('pin') === 'on';
    const url = `${api.href}${pin ? pinned : 'tally.js'}${query}`;
    const script = `<script type="module" src="${escape(url)}"${pin ? `\n  integrity="${integrity}" crossorigin` : ''}></script>`;
    const attributes = {
      ...(page && { page }),
      ...(element === 'top' && { limit: '10' }),
      ...(element === 'trend' && { days: '30', label: 'Likes' }),
      ...(element === 'poll' && { label: 'Your question?', options: 'Yes,No,Maybe' }),
      ...(audience && scope && { scope }),
      ...(audience && data.get('local') === 'on' && { local: '' }),
    };
    const text = Object.entries(attributes).map(([name, value]) => (value ? ` ${name}="${escape(value)}"` : ` ${name}`));
    find('tag').textContent = `${script}\n\n<tally-${element}${text.join('')}></tally-${element}>`;
    find('policy').textContent = `script-src ${api.origin};\nconnect-src ${api.origin} ${api.origin.replace('http', 'ws')};`;
    find('flag').textContent = `tallycast ${query ? `--site ${site}=${origin}` : `--allow-origin ${origin}`}`;
    showPreview(element, attributes);
  };
  form.addEventListener('input', show);
  form.addEventListener('submit', (event) => event.preventDefault());
  show();
  builder.hidden = false;
}

fold();
addPause();
addTheming();
showBadge();
addBuilder();
addCopyButtons();
