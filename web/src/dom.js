/**
 * Makes an element of HTML or, where the tag is svg or path, of SVG.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export function make(tag, attributes, ...children) {
  const element = /svg|path/.test(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  element.append(...children);
  return element;
}

/**
 * Sets properties that have another value: the DOM is written only on change. Names with a hyphen, and
 * role, are attributes, removed by null: Firefox before 119 does not reflect them.
 * @param {any} node
 * @param {Record<string, unknown>} values
 */
export function write(node, values) {
  for (const name in values) {
    const value = values[name];
    if (!/-|role/.test(name)) {
      if (node[name] !== value) node[name] = value;
    } else if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
}

/** @type {Set<string | undefined>} */
const told = new Set();

/**
 * Tells the console what was refused: it is for whoever runs the site. The same reason is told once.
 * @param {{ code?: string, message?: string }} failure
 */
export function complain({ code, message }) {
  if (!told.has(message)) console.warn('tallycast:', code, message);
  told.add(message);
}
