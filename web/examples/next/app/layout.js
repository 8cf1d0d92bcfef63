import { Account } from '../account.js';
import { Provider } from '../provider.js';
import { sessionReader } from '../session.js';
import { api } from '../tally.js';

export const metadata = { title: 'A blog', icons: 'data:,' };

export default async function Layout({ children }) {
  const reader = await sessionReader();
  return (
    <html lang="en">
      <body>
        <Provider api={api} signedIn={!!reader}>
          <header>
            Visitors so far: <tally-visitors local />
            <Account reader={reader} />
          </header>
          {children}
          <footer>
            Visitors: <tally-visitors local />, here now: <tally-readers local />
          </footer>
        </Provider>
      </body>
    </html>
  );
}
