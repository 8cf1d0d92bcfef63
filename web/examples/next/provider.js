'use client';

import { TallyProvider } from '@tallycast/web/react';

/** Asks this site's server for the reader's token; null if the session ended. */
async function visitorToken() {
  const response = await fetch('/visitor-token');
  if (response.status === 401) return null;
  if (!response.ok) throw new Error(`/visitor-token: ${response.status}`);
  return response.text();
}

/** The service for the elements below, which know the reader if somebody is signed in. */
export const Provider = ({ api, signedIn, children }) => (
  <TallyProvider api={api} identify={signedIn ? visitorToken : null}>
    {children}
  </TallyProvider>
);
