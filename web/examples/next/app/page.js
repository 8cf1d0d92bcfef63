import Link from 'next/link';
import { posts } from '../content/posts.js';
import { Heart } from '../heart.js';
import { likes } from '../tally.js';

export const dynamic = 'force-dynamic';

export default async function Home() {
  const counts = await likes(posts.map(({ slug }) => slug));
  return (
    <main>
      <h1>A blog</h1>
      <ul>
        {posts.map(({ slug, title }) => (
          <li key={slug}>
            <Link href={`/posts/${slug}`}>{title}</Link> <Heart slug={slug} count={counts[slug]} />
          </li>
        ))}
      </ul>
    </main>
  );
}
