export * from './types/register.js';

/** The detail of `tally-load` and `tally-change`: the number, the visitor's contribution, and who changed it. */
export interface TallyChange {
  count: number;
  mine: number;
  source: 'server' | 'visitor';
  /** The metric that changed, if the element has several. */
  metric?: string;
  /** The count of each option of a poll, rating or vote; mine is the visitor's option, from 1 on. */
  options?: number[];
}

/** The detail of `tally-error`: the service's code, and a message for people. */
export interface TallyFailure {
  code?: string;
  message?: string;
  metric?: string;
}

export interface TallyElement extends HTMLElement {
  site: string | null;
  metric: string | null;
  page: string | null;
  count: string | number | null;
  live: string | null;
  label: string | null;
  kept: string | null;
  refused: string | null;
}

export interface TallyClaps extends TallyElement {
  max: string | number | null;
}

export interface TallyReactions extends TallyElement {
  reactions: string | null;
}

export interface TallyWide extends TallyElement {
  scope: string | null;
  consent: string | boolean | null;
  local: string | boolean | null;
}

export interface TallyTop extends TallyElement {
  limit: string | number | null;
  href: string | null;
  empty: string | null;
  since: '24h' | '7d' | '30d' | null;
}

/** The attributes of polls, ratings and votes. */
export interface TallyChoice extends TallyElement {
  options: string | null;
  closed: string | boolean | null;
  withdraw: string | null;
}

export interface TallyPoll extends TallyChoice {
  results: 'after' | string | null;
  send: string | null;
  total: string | null;
}

export interface TallyRating extends TallyChoice {
  send: string | null;
  total: string | null;
}

export interface TallyVote extends TallyChoice {
  show: 'both' | string | null;
}

export interface TallyTrend extends TallyElement {
  days: string | number | null;
}

declare global {
  interface HTMLElementTagNameMap {
    'tally-like': TallyElement;
    'tally-count': TallyElement;
    'tally-claps': TallyClaps;
    'tally-reactions': TallyReactions;
    'tally-visitors': TallyWide;
    'tally-readers': TallyWide;
    'tally-top': TallyTop;
    'tally-poll': TallyPoll;
    'tally-rating': TallyRating;
    'tally-vote': TallyVote;
    'tally-trend': TallyTrend;
  }
  interface HTMLElementEventMap {
    'tally-load': CustomEvent<TallyChange>;
    'tally-change': CustomEvent<TallyChange>;
    'tally-error': CustomEvent<TallyFailure>;
    'tally-sign-in': CustomEvent<null>;
  }
  interface DocumentEventMap {
    'tally-status': CustomEvent<'live' | 'stale' | 'away'>;
    'tally-identity': CustomEvent<{ signedIn: boolean }>;
  }
}
