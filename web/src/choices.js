/** The views of the elements of choices: a second script, which the first such element loads. */
import { poll } from './poll.js';
import { rating } from './rating.js';
import { vote } from './vote.js';

/** @typedef {(reason?: import('./topic.js').Reason) => void} View draws an element of choices into its shadow tree */

/** @type {Record<string, (element: import('./element.js').TallyElement) => View>} by the element's name */
export const views = { 'tally-poll': poll, 'tally-rating': rating, 'tally-vote': vote };
