/**
 * Creates an HTML element, or an SVG element if the tag is svg or path.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export declare function create(tag: string, attributes: Record<string, string>, ...children: (Node | string)[]): any;
/**
 * Sets the properties that have another value: the DOM is written only on change. Names with a hyphen, and
 * role, are set as attributes, and null removes them: Firefox before 119 does not reflect them.
 * @param {any} node
 * @param {Record<string, unknown>} values
 */
export declare function update(node: any, values: Record<string, unknown>): void;
/**
 * Reports whether a boolean attribute is set. Frameworks write `false` for one that is not.
 * @param {HTMLElement} element
 * @param {string} name
 */
export declare const isSet: (element: HTMLElement, name: string) => boolean;
/**
 * Writes an error to the console, for the site's author.
 * @param {{ code?: string, message?: string }} failure
 */
export declare function warn({ code, message }: {
    code?: string;
    message?: string;
}): void;
