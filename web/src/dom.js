/**
 * Makes an element of HTML or, where the tag is svg or path, of SVG.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElementNS(
    /svg|path/.test(tag) ? 'http://www.w3.org/2000/svg' : 'http://www.w3.org/1999/xhtml',
    tag,
  );
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  element.append(...children);
  return element;
}

/** Tells whether the visitor asked for little motion. */
export const still = () => matchMedia('(prefers-reduced-motion:reduce)').matches;
