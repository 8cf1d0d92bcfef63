export * from './types/register.js';

/** What `tally-load` and `tally-change` say: a number, what of it is the visitor's own, and who changed it. */
export interface TallyChange {
  count: number;
  mine: number;
  source: 'server' | 'visitor';
  /** Which of its metrics changed, where the element has several. */
  metric?: string;
}

/** What `tally-error` says: a code of the service's table, and its reason for people. */
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
  }
  interface HTMLElementEventMap {
    'tally-load': CustomEvent<TallyChange>;
    'tally-change': CustomEvent<TallyChange>;
    'tally-error': CustomEvent<TallyFailure>;
  }
  interface DocumentEventMap {
    'tally-status': CustomEvent<'live' | 'stale' | 'away'>;
  }
}
