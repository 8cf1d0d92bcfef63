/**
 * The browser's entry about its visitor: one in localStorage for each service, written on a press and never before. If
 * the browser refuses storage, the entry lasts as long as the page.
 */
/**
 * Returns the name of a service's entry. The number in it changes with the entry's format.
 * @param {string} api the service's URL
 */
export declare const entryName: (api: string) => string;
export type Entry = {
    /**
     * the visitor's id: up to 54 characters of [0-9-]
     */
    visitor?: string;
    /**
     * topic → the confirmed contribution, if not 0
     */
    mine: Record<string, number | undefined>;
    /**
     * topic → an assertion that the
     * service has not answered yet, its time (milliseconds since the epoch), and whether it is an option
     */
    wish: Record<string, [amount: number, at: number, choice?: boolean] | undefined>;
};
/**
 * @param {string} name of an entry
 * @returns {Entry}
 */
export declare function loadEntry(name: string): Entry;
/**
 * Returns the visitor's confirmed contribution to a topic, and the amount that is still to be sent, if any.
 * @param {string} name of an entry
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined, choice: boolean }}
 */
export declare function loadTopic(name: string, topic: string): {
    mine: number;
    wish: number | undefined;
    choice: boolean;
};
/**
 * Stores the state of a topic. The entry is read again each time, since other tabs write it too.
 * @param {string} name of an entry
 * @param {string} topic
 * @param {number} mine
 * @param {number | undefined} wish
 * @param {boolean} [choice] wish is an option
 * @returns {string} the visitor's id
 */
export declare function saveTopic(name: string, topic: string, mine: number, wish: number | undefined, choice?: boolean): string;
