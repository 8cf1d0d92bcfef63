import { defineConfig } from 'astro/config';

/** The site's own address: where forms without a script come back to. */
export default defineConfig({ site: process.env.SITE ?? 'http://localhost:4321', devToolbar: { enabled: false } });
