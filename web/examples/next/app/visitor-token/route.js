import { sessionReader, visitorToken } from '../../session.js';

/** Returns the token of the reader who is signed in. */
export async function GET() {
  const reader = await sessionReader();
  const headers = { 'cache-control': 'private, no-store' };
  return reader ? new Response(visitorToken(reader), { headers }) : new Response(null, { status: 401, headers });
}
