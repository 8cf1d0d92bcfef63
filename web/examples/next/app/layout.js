import { TallyProvider } from '@tallycast/web/react';
import { api } from '../tally.js';

export const metadata = { title: 'A blog', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <TallyProvider api={api}>
          <header>
            <tally-visitors /> visitors so far
          </header>
          {children}
          <footer>
            <tally-visitors /> visitors, <tally-readers /> here now
          </footer>
        </TallyProvider>
      </body>
    </html>
  );
}
