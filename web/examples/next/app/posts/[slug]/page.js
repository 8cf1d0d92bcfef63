import { notFound } from 'next/navigation';
import { posts } from '../../../content/posts.js';
import { Heart } from '../../../heart.js';
import { likes } from '../../../tally.js';

export const dynamic = 'force-dynamic';

export default async function Post({ params }) {
  const { slug } = await params;
  const post = posts.find((each) => each.slug === slug);
  if (!post) notFound();
  const counts = await likes([slug]);
  return (
    <main>
      <h1>{post.title}</h1>
      <p>{post.text}</p>
      <Heart slug={slug} count={counts[slug]} />
    </main>
  );
}
