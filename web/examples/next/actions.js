'use server';

import { randomUUID } from 'node:crypto';
import { cookies } from 'next/headers';
import { revalidatePath } from 'next/cache';
import { endSession, startSession } from './session.js';
import { api, bearer } from './tally.js';

/** Signs a reader in. A site with a login checks the reader's own password here. */
export async function signIn(form) {
  const expected = process.env.READER_PASSWORD;
  if (!expected || form.get('password') !== expected) throw new Error('The password is wrong.');
  await startSession(String(form.get('reader')));
  revalidatePath('/', 'layout');
}

export async function signOut() {
  await endSession();
  revalidatePath('/', 'layout');
}

/** How long the cookie of a visitor without JavaScript lasts, in seconds: a year. */
const COOKIE_AGE = 31_536_000;

/**
 * Likes a post for a visitor without JavaScript. A cookie tells visitors apart.
 * @param {string} slug
 */
export async function like(slug) {
  const jar = await cookies();
  const visitor = jar.get('visitor')?.value ?? randomUUID();
  jar.set('visitor', visitor, { httpOnly: true, sameSite: 'lax', maxAge: COOKIE_AGE });
  const response = await fetch(`${api}/v1/default/likes/posts/${encodeURIComponent(slug)}`, {
    method: 'POST',
    body: JSON.stringify({ visitor, amount: 1 }),
    headers: bearer(),
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  revalidatePath('/');
}
