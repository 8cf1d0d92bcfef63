import { signIn, signOut } from './actions.js';

/** Signs in and out. */
export const Account = ({ reader }) =>
  reader ? (
    <form action={signOut}>
      {reader} <button>Sign out</button>
    </form>
  ) : (
    <form action={signIn}>
      <input name="reader" aria-label="Name" required /> <input name="password" type="password" aria-label="Password" required /> <button>Sign in</button>
    </form>
  );
