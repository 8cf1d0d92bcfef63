/** The posts. Your site has a collection, files or a CMS instead. */
export const posts = [
  { slug: 'hello', title: 'Hello', text: 'The first post is always the hardest.' },
  { slug: 'again', title: 'Once more', text: 'The second one writes itself.' },
];
