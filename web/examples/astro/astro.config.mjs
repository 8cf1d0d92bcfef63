import { defineConfig } from 'astro/config';

/** The site's address, to which forms return without a script. */
export default defineConfig({ site: process.env.SITE ?? 'http://localhost:4321', devToolbar: { enabled: false } });
