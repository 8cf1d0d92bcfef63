/** Compares screenshots with the stored ones. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const stored = join(import.meta.dirname, 'screenshots');

/**
 * A pixel differs if one of its channels differs by more than this, of 255: browser releases draw the edges of
 * curves and letters a little differently.
 */
const SHADE = 64;

/** How many pixels may differ: less than a stroke of a digit or an icon. */
const PIXELS = 24;

/** Options that make screenshots the same on every machine. */
export const STEADY = ['--font-render-hinting=none', '--disable-lcd-text', '--force-color-profile=srgb', '--hide-scrollbars'];

/** The folder of the screenshots that differ. */
let kept = '';

/**
 * Compares an element with the stored screenshot of that name. UPDATE_SCREENSHOTS=1 stores it instead.
 * @param {import('playwright-core').Page} page
 * @param {import('playwright-core').Locator} place
 * @param {string} name
 * @returns {Promise<string | undefined>} the difference, if any
 */
export async function differs(page, place, name) {
  const now = await place.screenshot({ animations: 'disabled', scale: 'css' });
  const path = join(stored, `${name}.png`);
  if (process.env.UPDATE_SCREENSHOTS === '1') {
    await mkdir(stored, { recursive: true });
    await writeFile(path, now);
    return undefined;
  }
  const before = await readFile(path).catch(() => undefined);
  const why = before ? await compare(page, before, now) : 'is not stored';
  if (!why) return undefined;
  kept ||= await mkdtemp(join(tmpdir(), 'tallycast-screenshots-'));
  const there = join(kept, `${name}.png`);
  await writeFile(there, now);
  return `${name} ${why}: see ${there}. If it is right, UPDATE_SCREENSHOTS=1 stores it`;
}

/**
 * @param {import('playwright-core').Page} page that compares them on a canvas
 * @param {Buffer} before
 * @param {Buffer} now
 * @returns {Promise<string | undefined>} the difference, if any
 */
const compare = (page, before, now) =>
  page.evaluate(
    async ([before, now, shade, pixels]) => {
      const read = async (/** @type {string} */ base64) => {
        const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: 'image/png' }));
        const { width, height } = bitmap;
        const drawing = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext('2d'));
        drawing.drawImage(bitmap, 0, 0);
        return { width, height, data: drawing.getImageData(0, 0, width, height).data };
      };
      const [a, b] = [await read(before), await read(now)];
      if (a.width !== b.width || a.height !== b.height) return `was ${a.width} by ${a.height} pixels, and is ${b.width} by ${b.height}`;
      let others = 0;
      for (let at = 0; at < a.data.length; at += 4) {
        if ([0, 1, 2, 3].some((channel) => Math.abs(a.data[at + channel] - b.data[at + channel]) > shade)) others++;
      }
      return others > pixels ? `differs in ${others} pixels` : undefined;
    },
    /** @type {const} */ ([before.toString('base64'), now.toString('base64'), SHADE, PIXELS]),
  );
