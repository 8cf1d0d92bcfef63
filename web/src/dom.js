/**
 * Creates an HTML element, or an SVG element if the tag is svg or path.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export function create(tag, attributes, ...children) {
  const element = /svg|path/.test(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  element.append(...children);
  return element;
}

/**
 * Sets the properties that have another value: the DOM is written only on change. Names with a hyphen, and
 * role, are set as attributes, and null removes them: Firefox before 119 does not reflect them.
 * @param {any} node
 * @param {Record<string, unknown>} values
 */
export function update(node, values) {
  for (const name in values) {
    const value = values[name];
    if (!/-|role/.test(name)) {
      if (node[name] !== value) node[name] = value;
    } else if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
}

/**
 * Reports whether a boolean attribute is set. Frameworks write `false` for one that is not.
 * @param {HTMLElement} element
 * @param {string} name
 */
export const isSet = (element, name) => (element.getAttribute(name) ?? 'false') !== 'false';

/**
 * Writes an error to the console, for the site's author.
 * @param {{ code?: string, message?: string }} failure
 */
export function warn({ code, message }) {
  console.warn('tallycast:', code, message);
}
