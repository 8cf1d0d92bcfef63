export type Attributes = Record<'site' | 'metric' | 'page' | 'count' | 'live' | 'label' | 'kept' | 'refused', string | null>;
/**
 * The attributes of all elements, as properties.
 * @typedef {Record<'site' | 'metric' | 'page' | 'count' | 'live' | 'label' | 'kept' | 'refused', string | null>} Attributes
 */
/** On a server, which has no DOM, the classes are defined and never used. */
declare const Base: new () => HTMLElement & Attributes;
/**
 * The base of all elements: finds the topic, subscribes to it and shows its number. It never changes the element's own
 * children; a slot shows them while there is no number.
 *
 * Subclasses have `static metric`, extend `static styles`, put `number` into the shadow tree, and may extend
 * `resolve`, `render`, `onChange` and `release`.
 */
export declare class TallyElement extends Base {
    #private;
    static metric: string;
    static styles: string;
    static observedAttributes: string[];
    /** @type {import('./topic.js').Topic | undefined} */
    topic: import('./topic.js').Topic | undefined;
    number: any;
    /** The full number, if `number` is shortened. */
    exact: any;
    fallback: any;
    /** Whether the element has been near the viewport. */
    near: boolean;
    constructor();
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** Ends the subscription, and all else that the element does for its topic. */
    release(): void;
    /** @param {string} name */
    attributeChangedCallback(name: string): void;
    /** Returns the key of the element's page; undefined if it has none. */
    key(): string | undefined;
    /** The language of numbers. */
    get language(): string | undefined;
    get paused(): boolean;
    /** Finds the topic that the attributes and the page name. */
    resolve(): void;
    reportBadPage(): void;
    /** Subscribes to the topic, once the element is near the viewport. */
    follow(): void;
    /**
     * @param {import('./topic.js').Reason} reason
     * @param {import('./topic.js').Failure} [failure]
     */
    onChange(reason: import('./topic.js').Reason, failure?: import('./topic.js').Failure): void;
    /**
     * Brings the shadow tree up to date with the topic.
     * @param {import('./topic.js').Reason} [reason]
     * @returns {void}
     */
    render(reason?: import('./topic.js').Reason): void;
    /**
     * @param {string} name
     * @param {object} detail
     */
    emit(name: string, detail: object): void;
}
/**
 * Registers an element, and gives it a property for each attribute.
 * @param {string} name
 * @param {typeof TallyElement} element
 */
export declare function define(name: string, element: typeof TallyElement): void;
/**
 * Pauses all numbers and lists, or resumes them. The visitor's own presses still show.
 * @param {boolean} on
 */
export declare function pause(on: boolean): void;
/** Resolves the elements again after client-side navigation. */
export declare function followNavigation(): void;
export {};
