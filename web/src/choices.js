/** The views of the elements of choices: a second script, which the first such element loads. */
import { poll } from './poll.js';
import { rating } from './rating.js';
import { vote } from './vote.js';

/** @type {Record<string, import('./lazyelement.js').MakeView>} by the element's name */
export const views = { 'tally-poll': poll, 'tally-rating': rating, 'tally-vote': vote };
