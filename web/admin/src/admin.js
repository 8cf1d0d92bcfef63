/** The owner's dashboard: who is signed in, and which view is shown. */
import { resume, signIn, signOut, whenEnded } from './call.js';
import { field, find, make } from './dom.js';
import { showLog } from './log.js';
import { showOverview } from './overview.js';
import { showPeople } from './people.js';
import { showSpikes } from './spikes.js';
import { showTopics } from './topics.js';

/** @type {Record<string, { title: string, show: (place: HTMLElement, signal: AbortSignal, wanted: URLSearchParams) => void }>} */
const views = {
  '': { title: 'Overview', show: showOverview },
  topics: { title: 'Topics', show: showTopics },
  spikes: { title: 'Spikes', show: showSpikes },
  people: { title: 'People', show: showPeople },
  log: { title: 'Log', show: showLog },
};

let signedIn = false;

/** Ends what the present view began. */
let present = new AbortController();

/** Shows the view that the address names; focus moves to it where the reader went there. */
function route(moved = false) {
  // Other fragments are places on this page.
  if (location.hash && !location.hash.startsWith('#/')) return;
  const [name, query] = location.hash.slice(2).split('?');
  present.abort();
  present = new AbortController();
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  const main = find('main');
  main.replaceChildren();
  find('nav').hidden = find('out').hidden = !signedIn;
  if (!signedIn) {
    document.title = 'Sign in · tallycast';
    showSignIn(main);
    return;
  }
  const view = views[name] ?? views[''];
  document.title = `${view.title} · tallycast`;
  for (const link of document.querySelectorAll('#nav a')) {
    if (link.getAttribute('href') === `#/${views[name] ? name : ''}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  view.show(main, present.signal, new URLSearchParams(query));
  if (moved) main.focus({ preventScroll: true });
}

/**
 * @param {HTMLElement} place
 * @param {string} [why]
 */
function showSignIn(place, why = '') {
  const token = make('input', { type: 'password', name: 'password', autocomplete: 'current-password', required: true });
  const wrong = make('p', { class: 'wrong', role: 'alert' }, why);
  const button = make('button', { class: 'primary' }, 'Sign in');
  place.append(
    make(
      'form',
      {
        class: 'sheet signin',
        submit: async (event) => {
          event.preventDefault();
          button.disabled = true;
          wrong.replaceChildren();
          try {
            await signIn(token.value.trim());
            signedIn = true;
            route(true);
          } catch (error) {
            wrong.textContent = /** @type {Error} */ (error).message;
            token.select();
          } finally {
            button.disabled = false;
          }
        },
      },
      make('h1', {}, 'Your numbers'),
      make('p', { class: 'hint' }, 'Sign in with the token that the service was started with: its --admin-token.'),
      // Password managers keep the token under a name.
      make('input', { type: 'text', name: 'username', value: 'tallycast', autocomplete: 'username', hidden: true, readonly: true }),
      field('Admin token', token),
      wrong,
      button,
    ),
  );
  token.focus();
}

addEventListener('hashchange', () => route(true));
find('out').addEventListener('click', async () => {
  await signOut();
  signedIn = false;
  route();
});
whenEnded(() => {
  if (!signedIn) return;
  signedIn = false;
  route();
});
resume().then(
  (found) => {
    signedIn = found;
    route();
  },
  (error) => showSignIn(find('main'), error.message),
);
