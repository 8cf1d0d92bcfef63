/**
 * Makes an element of HTML or, where the tag is svg or path, of SVG.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export declare function make(tag: string, attributes: Record<string, string>, ...children: (Node | string)[]): any;
/**
 * Sets properties that have another value: the DOM is written only on change. Names with a hyphen, and
 * role, are attributes, removed by null: Firefox before 119 does not reflect them.
 * @param {any} node
 * @param {Record<string, unknown>} values
 */
export declare function write(node: any, values: Record<string, unknown>): void;
/**
 * Tells the console what was refused: it is for whoever runs the site. The same reason is told once.
 * @param {{ code?: string, message?: string }} failure
 */
export declare function complain({ code, message }: {
    code?: string;
    message?: string;
}): void;
