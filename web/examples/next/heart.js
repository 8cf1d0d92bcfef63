import { Like } from '@tallycast/web/react';
import { like } from './actions.js';

/** A heart that is rendered with its number, live with a script and a form without one. */
export function Heart({ slug, count }) {
  return (
    <Like page={`posts/${slug}`} count={count}>
      <form action={like.bind(null, slug)}>
        <button>Like ({count ?? 0})</button>
      </form>
    </Like>
  );
}
