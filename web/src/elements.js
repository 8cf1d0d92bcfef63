import { Claps } from './claps.js';
import { Count } from './count.js';
import { define, followNavigation } from './element.js';
import { Like } from './like.js';
import { Reactions } from './reactions.js';
import { Top } from './top.js';
import { Readers, Visitors } from './visitors.js';

/** Registers every element, once the service is configured; on a server nothing. */
export function defineAll() {
  if (!globalThis.customElements) return;
  define('tally-like', Like);
  define('tally-count', Count);
  define('tally-claps', Claps);
  define('tally-reactions', Reactions);
  define('tally-visitors', Visitors);
  define('tally-readers', Readers);
  define('tally-top', Top);
  followNavigation();
}
