export type Frame = {
    topic?: string;
    count: number;
    version: number;
    event?: string;
    id?: number;
    mine?: number;
    stale?: boolean;
    error?: {
        code: string;
        message: string;
        retry_after?: number;
        status?: number;
    };
};
export type Topics = {
    subscribe: string[];
    present: string[];
};
export type Change = Record<string, string[]>;
export type Link = {
    /**
     * returns true if the link must be opened again instead
     */
    change: (change: Change) => unknown;
    /**
     * sends an assertion, and returns false if the link is not open yet;
     * absent if the link takes none
     */
    send?: (message: object) => boolean;
    close: () => void;
};
export type Open = (api: string, topics: () => Topics, receive: (frame: Frame) => void, ended: (wait: number) => void) => Link;
