import { TallyProvider } from '@tallycast/web/react';
import { api } from '../tally.js';

export const metadata = { title: 'A blog', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <TallyProvider api={api}>
          <header>
            Visitors so far: <tally-visitors />
          </header>
          {children}
          <footer>
            Visitors: <tally-visitors />, here now: <tally-readers />
          </footer>
        </TallyProvider>
      </body>
    </html>
  );
}
