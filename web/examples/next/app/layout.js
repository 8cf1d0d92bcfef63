import { TallyProvider } from '@tallycast/web/react';
import { api } from '../tally.js';

export const metadata = { title: 'A blog', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <TallyProvider api={api}>
          <header>
            <tally-visitors local /> visitors so far
          </header>
          {children}
          <footer>
            <tally-visitors local /> visitors, <tally-readers local /> here now
          </footer>
        </TallyProvider>
      </body>
    </html>
  );
}
