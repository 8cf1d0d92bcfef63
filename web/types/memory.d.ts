/**
 * What the browser remembers of its visitor: one entry of localStorage for each service, written
 * on a press and never before. Where storage is refused it lives as long as the page.
 */
/**
 * The name of a service's entry; its number changes when its form does.
 * @param {string} api where the service is
 */
export declare const entryName: (api: string) => string;
export type Entry = {
    /**
     * the opaque id, up to 54 of [0-9-]; none before the first press
     */
    visitor?: string;
    /**
     * topic → what the server has of this visitor, where not 0
     */
    mine: Record<string, number | undefined>;
    /**
     * topic → an assertion the server has
     * not answered yet, and when it was made (milliseconds since the epoch)
     */
    wish: Record<string, [amount: number, at: number] | undefined>;
};
/**
 * @param {string} api where the service is
 * @returns {Entry}
 */
export declare function recall(api: string): Entry;
/**
 * The visitor's contribution to a topic as the server confirmed it, and the wish
 * that is still to be sent, if there is one.
 * @param {string} api where the service is
 * @param {string} topic
 * @returns {{ mine: number, wish: number | undefined }}
 */
export declare function recallTopic(api: string, topic: string): {
    mine: number;
    wish: number | undefined;
};
/**
 * Notes the state of a topic. The entry is read anew each time, since other tabs write it too.
 * @param {string} api where the service is
 * @param {string} topic
 * @param {number} mine
 * @param {number | undefined} wish
 * @returns {string} the visitor's id
 */
export declare function remember(api: string, topic: string, mine: number, wish: number | undefined): string;
