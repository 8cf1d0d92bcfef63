import { Like } from '@tallycast/web/react';
import { like } from './actions.js';

/** A heart: rendered with its number and live after. Without a script it is a form. */
export function Heart({ slug, count }) {
  return (
    <Like page={`posts/${slug}`} count={count}>
      <form action={like.bind(null, slug)}>
        <button>Like ({count ?? 0})</button>
      </form>
    </Like>
  );
}
