import { TallyProvider } from '@tallycast/web/react';
import { api } from '../tally.js';

export const metadata = { title: 'A blog', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <TallyProvider api={api}>
          <header>
            Visitors so far: <tally-visitors local />
          </header>
          {children}
          <footer>
            Visitors: <tally-visitors local />, here now: <tally-readers local />
          </footer>
        </TallyProvider>
      </body>
    </html>
  );
}
