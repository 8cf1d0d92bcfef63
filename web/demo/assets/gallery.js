/** What makes the gallery a workshop; the widgets do not need it. */
import { pause } from '../tally.js';

/** How long a button says that something was copied, in milliseconds. */
const SAID = 1600;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The tag of each element, as the maker writes it. */
const extra = /** @type {Record<string, string>} */ ({ top: ' limit="10"' });

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
  const api = new URL('../', import.meta.url);
  const { pinned, integrity } = maker.dataset;
  const quoted = (/** @type {string} */ text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
  const show = () => {
    const said = new FormData(form);
    const [element, page, site] = ['element', 'page', 'site'].map((name) => String(said.get(name) ?? '').trim());
    let origin = '';
    try {
      origin = new URL(String(said.get('origin'))).origin;
    } catch {
      // Not an address yet: the field says so itself.
    }
    const named = site && site !== 'default' ? `?site=${encodeURIComponent(site)}` : '';
    const pin = said.get('pin') === 'on';
    const url = `${api.href}${pin ? pinned : 'tally.js'}${named}`;
    const script = `<script type="module" src="${quoted(url)}"${pin ? `\n  integrity="${integrity}" crossorigin` : ''}></script>`;
    const topic = page ? ` page="${quoted(page)}"` : '';
    find('tag').textContent = `${script}\n\n<tally-${element}${topic}${extra[element] ?? ''}></tally-${element}>`;
    find('policy').textContent = `script-src ${api.origin};\nconnect-src ${api.origin} ${api.origin.replace('http', 'ws')};`;
    find('flag').textContent = named ? `tallycast --site ${site}=${origin}` : `tallycast --allow-origin ${origin}`;
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
