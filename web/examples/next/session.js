/** Sessions of readers: a signed cookie. A site with a login has its own. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { cookies } from 'next/headers';

/** How long a reader stays signed in, in seconds: a week. */
const SESSION = 604_800;

/** How long a visitor token is valid, in seconds. */
const TOKEN = 900;

const secret = () => process.env.SESSION_SECRET ?? '';
const now = () => Math.floor(Date.now() / 1000);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const mac = (key, text) => createHmac('sha256', key).update(text).digest('base64url');

/** Starts the session of a reader whose password was checked. */
export async function startSession(reader) {
  const text = encode({ reader, end: now() + SESSION });
  const jar = await cookies();
  jar.set('session', `${text}.${mac(secret(), text)}`, { httpOnly: true, sameSite: 'lax', secure: process.env.INSECURE_COOKIES !== '1', maxAge: SESSION });
}

export async function endSession() {
  (await cookies()).delete('session');
}

/** Returns the reader who is signed in; undefined if nobody is. */
export async function sessionReader() {
  const [text = '', sent = ''] = ((await cookies()).get('session')?.value ?? '').split('.');
  const [own, other] = [mac(secret(), text), sent].map((each) => Buffer.from(each));
  if (!secret() || own.length !== other.length || !timingSafeEqual(own, other)) return undefined;
  const { reader, end } = JSON.parse(Buffer.from(text, 'base64url').toString());
  return end > now() ? reader : undefined;
}

/** Returns the token by which the service knows a reader: a JWT, signed with the service's --visitor-key. */
export function visitorToken(reader) {
  const iat = now();
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: reader, iat, exp: iat + TOKEN })}`;
  return `${text}.${mac(process.env.TALLYCAST_VISITOR_KEY ?? '', text)}`;
}
