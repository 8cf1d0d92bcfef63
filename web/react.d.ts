import type { DetailedHTMLProps, HTMLAttributes } from 'react';
import type { TallyClaps, TallyElement, TallyPoll, TallyRating, TallyReactions, TallyTop, TallyTrend, TallyVote, TallyWide } from './elements.js';

export * from './types/react.js';

type Own<T> = Partial<Omit<T, keyof HTMLElement>>;
type Props<T> = DetailedHTMLProps<HTMLAttributes<T>, T> & Own<T> & { class?: string };

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'tally-like': Props<TallyElement>;
      'tally-count': Props<TallyElement>;
      'tally-claps': Props<TallyClaps>;
      'tally-reactions': Props<TallyReactions>;
      'tally-visitors': Props<TallyWide>;
      'tally-readers': Props<TallyWide>;
      'tally-top': Props<TallyTop>;
      'tally-poll': Props<TallyPoll>;
      'tally-rating': Props<TallyRating>;
      'tally-vote': Props<TallyVote>;
      'tally-trend': Props<TallyTrend>;
    }
  }
}
