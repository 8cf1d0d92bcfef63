import { pause } from './element.js';
import { consent } from './visit.js';
export type Elements = {
    /**
     * URL
     */
    service: string;
    client: import('./client.js').Client;
    pause: typeof pause;
    consent: typeof consent;
    identify: (getToken: import('./signin.js').GetToken | null) => Promise<void>;
};
/** Returns the elements that the page uses: those of its first script. */
export declare const registered: () => Elements;
/**
 * Registers every element and returns the page's elements, which another script may have registered. On a
 * server it registers nothing. The service must be configured.
 */
export declare function defineAll(): Elements;
