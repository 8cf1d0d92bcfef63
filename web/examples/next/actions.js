'use server';

import { randomUUID } from 'node:crypto';
import { cookies } from 'next/headers';
import { revalidatePath } from 'next/cache';
import { api, bearer } from './tally.js';

/** How long a visitor without JavaScript is known, in seconds: a year. */
const KNOWN = 31_536_000;

/**
 * A heart without JavaScript: this server presses it for the visitor, whom it tells apart by a
 * cookie that is set by the press.
 * @param {string} slug
 */
export async function like(slug) {
  const jar = await cookies();
  const visitor = jar.get('visitor')?.value ?? randomUUID();
  jar.set('visitor', visitor, { httpOnly: true, sameSite: 'lax', maxAge: KNOWN });
  const response = await fetch(`${api}/v1/default/likes/posts/${encodeURIComponent(slug)}`, {
    method: 'POST',
    body: JSON.stringify({ visitor, amount: 1 }),
    headers: bearer(),
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  revalidatePath('/');
}
