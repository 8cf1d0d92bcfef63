import { pause } from './element.js';
import { consent } from './visit.js';
export type Set = {
    /**
     * where they find their numbers
     */
    service: string;
    client: import('./client.js').Client;
    pause: typeof pause;
    consent: typeof consent;
};
/** Those of the script that came first: a page has one element of a name. */
export declare const inUse: () => Set;
/**
 * Registers every element, once the service is configured; on a server nothing. Where another script
 * was first its elements stay, and are what the caller gets.
 */
export declare function defineAll(): Set;
