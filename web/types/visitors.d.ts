import { Count } from './count.js';
/** An element that counts the whole site unless it has `scope="page"`. */
declare class SiteCount extends Count {
    static observedAttributes: string[];
    key(): string | undefined;
}
/**
 * `<tally-visitors>`: counts this visitor once and shows the number. With `metric="views"` it counts views.
 * `consent` says that the visitor agreed to a stored id; `local` counts on localhost and in tests, too.
 */
export declare class Visitors extends SiteCount {
    static metric: string;
    /** Counts the visitor after this turn, once the router has written the canonical link: the topic may still change. */
    resolve(): void;
}
/** `<tally-readers>`: makes this page a reader and shows how many there are. */
export declare class Readers extends SiteCount {
    #private;
    static metric: string;
    resolve(): void;
    release(): void;
}
export {};
