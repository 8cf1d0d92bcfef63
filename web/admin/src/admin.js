/** The owner's dashboard: signs in and shows the view that the URL names. */
import { showAudit } from './audit.js';
import { listenSessionEnd, may, resumeSession, signIn, signOut } from './client.js';
import { field, find, make } from './dom.js';
import { showHistory } from './history.js';
import { showOverview } from './overview.js';
import { showSpikes } from './spikes.js';
import { showTokens } from './tokens.js';
import { showTopics } from './topics.js';
import { showVisitors } from './visitors.js';

/** The views, each with the role that it needs. @type {Record<string, { title: string, needs: string, show: (place: HTMLElement, signal: AbortSignal, query: URLSearchParams) => void }>} */
const views = {
  '': { title: 'Overview', needs: 'viewer', show: showOverview },
  topics: { title: 'Topics', needs: 'viewer', show: showTopics },
  history: { title: 'History', needs: 'viewer', show: showHistory },
  spikes: { title: 'Spikes', needs: 'viewer', show: showSpikes },
  people: { title: 'Visitors', needs: 'editor', show: showVisitors },
  log: { title: 'Audit log', needs: 'viewer', show: showAudit },
  tokens: { title: 'Tokens', needs: 'admin', show: showTokens },
};

let signedIn = false;

/** Ends the timers, calls and subscriptions of the current view. */
let current = new AbortController();

/** Shows the view that the URL names, and moves the focus to it if the user navigated. */
function route(navigated = false) {
  // Other fragments are places on this page.
  if (location.hash && !location.hash.startsWith('#/')) return;
  const [name, query] = location.hash.slice(2).split('?');
  current.abort();
  current = new AbortController();
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  const main = find('main');
  main.replaceChildren();
  find('nav').hidden = find('sign-out').hidden = !signedIn;
  if (!signedIn) {
    document.title = 'Sign in · tallycast';
    showSignIn(main);
    return;
  }
  const shown = views[name] && may(views[name].needs) ? name : '';
  const view = views[shown];
  document.title = `${view.title} · tallycast`;
  for (const link of document.querySelectorAll('#nav a')) {
    const to = link.getAttribute('href')?.slice(2) ?? '';
    /** @type {HTMLElement} */ (link.parentElement).hidden = !may(views[to].needs);
    if (to === shown) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  view.show(main, current.signal, new URLSearchParams(query));
  if (navigated) main.focus({ preventScroll: true });
}

/**
 * @param {HTMLElement} place
 * @param {string} [message] an error
 */
function showSignIn(place, message = '') {
  const token = make('input', { type: 'password', name: 'password', autocomplete: 'current-password', required: true });
  const error = make('p', { class: 'error', role: 'alert' }, message);
  const button = make('button', { class: 'primary' }, 'Sign in');
  place.append(
    make(
      'form',
      {
        class: 'sheet signin',
        submit: async (event) => {
          event.preventDefault();
          button.disabled = true;
          error.replaceChildren();
          try {
            await signIn(token.value.trim());
            signedIn = true;
            route(true);
          } catch (cause) {
            error.textContent = /** @type {Error} */ (cause).message;
            token.select();
          } finally {
            button.disabled = false;
          }
        },
      },
      make('h1', {}, 'Sign in'),
      make('p', { class: 'hint' }, 'Use the admin token of the service, or a token that its owner gave you for your site.'),
      // Password managers store the token under this name.
      make('input', { type: 'text', name: 'username', value: 'tallycast', autocomplete: 'username', hidden: true, readonly: true }),
      field('Admin token or site token', token),
      error,
      button,
    ),
  );
  token.focus();
}

function showSignedOut() {
  signedIn = false;
  route();
}

addEventListener('hashchange', () => route(true));
find('sign-out').addEventListener('click', () => signOut().then(showSignedOut));
listenSessionEnd(() => signedIn && showSignedOut());
resumeSession().then(
  (found) => {
    signedIn = found;
    route();
  },
  (error) => showSignIn(find('main'), error.message),
);
