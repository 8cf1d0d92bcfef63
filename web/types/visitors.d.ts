import { Count } from './count.js';
/** An element that means the whole site unless `scope="page"`. */
declare class Wide extends Count {
    static observedAttributes: string[];
    key(): string | undefined;
}
/**
 * `<tally-visitors>`: counts this visitor once, of the whole site unless `scope="page"`, and
 * shows the number. With `metric="views"` it counts views. `consent` says that the visitor may be
 * recognised, `local` that localhost and tests count too.
 */
export declare class Visitors extends Wide {
    static metric: string;
    /** Counts the visitor once this turn is over and the page is settled: until then another topic may be meant. */
    resolve(): void;
}
/**
 * `<tally-readers>`: makes this page present, on the whole site unless `scope="page"`, and shows
 * how many are.
 */
export declare class Readers extends Wide {
    #private;
    static metric: string;
    resolve(): void;
    quit(): void;
}
export {};
