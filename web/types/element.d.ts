/** Where there is no DOM, as on a server, the elements are classes that nobody makes. */
declare const Base: typeof HTMLElement;
/**
 * What all elements share: which topic is meant, when it is pushed, how its number is shown.
 * The element's own children are never changed; they show through a slot while there is
 * nothing better.
 *
 * Subclasses have `static metric`, extend `static styles`, put `number` into the shadow tree, and
 * may extend `resolve`, `paint`, `hear` and `quit`.
 */
export declare class TallyElement extends Base {
    #private;
    static metric: string;
    static styles: string;
    static observedAttributes: string[];
    /** @type {import('./topic.js').Topic | undefined} */
    topic: import('./topic.js').Topic | undefined;
    number: any;
    /** The number in full, for those who see it shortened or not at all. */
    exact: any;
    fallback: any;
    /** The element has been near the viewport. */
    near: boolean;
    constructor();
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** Ends all that the element did for its topic. */
    quit(): void;
    /** @param {string} name */
    attributeChangedCallback(name: string): void;
    /** The key that is meant now; undefined where the page has none that is valid. */
    key(): string | undefined;
    /** The language that numbers are written in. */
    get lang_(): string | undefined;
    get paused(): boolean;
    /** Finds the topic that the attributes and the page name now. */
    resolve(): void;
    /** Reports that the element's page has no key. */
    refuse(): void;
    /** Has the topic pushed, once the element is near. */
    follow(): void;
    /**
     * @param {import('./topic.js').Reason} reason
     * @param {import('./topic.js').Failure} [failure]
     */
    hear(reason: import('./topic.js').Reason, failure?: import('./topic.js').Failure): void;
    /**
     * Brings the shadow tree up to date with the topic.
     * @param {import('./topic.js').Reason} [source] what changed it
     */
    paint(source?: import('./topic.js').Reason): void;
    /**
     * @param {string} name
     * @param {object} detail
     */
    emit(name: string, detail: object): void;
}
/**
 * Registers an element; every attribute gets a property of its name that can be set.
 * @param {string} name
 * @param {typeof TallyElement} element
 */
export declare function define(name: string, element: typeof TallyElement): void;
/**
 * Numbers, and orders, stay as they are until the page goes on. The visitor's own presses show.
 * @param {boolean} on
 */
export declare function pause(on: boolean): void;
/** Resolves the elements again after client-side navigation: those without a page mean another one then. */
export declare function followNavigation(): void;
export {};
