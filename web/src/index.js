/** The elements, registered, and the client behind them. */
import { Count } from './count.js';
import { define, followNavigation } from './element.js';
import { Like } from './like.js';

define('tally-like', Like);
define('tally-count', Count);
followNavigation();

export { client } from './site.js';
