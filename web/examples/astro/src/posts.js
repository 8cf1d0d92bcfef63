/** The posts, where a site of yours would have a collection. */
export const posts = [
  { slug: 'hello', title: 'Hello', text: 'The first post is always the hardest.' },
  { slug: 'again', title: 'Once more', text: 'The second one writes itself.' },
];
