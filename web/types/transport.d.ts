export type Frame = {
    topic?: string;
    count: number;
    version: number;
    event?: string;
    error?: {
        code: string;
        message: string;
    };
};
export type Topics = {
    subscribe: string[];
    present: string[];
};
export type Change = Record<string, string[]>;
export type Link = {
    /**
     * returns false if the link must be opened again instead
     */
    change: (change: Change) => boolean;
    close: () => void;
};
export type Open = (api: string, topics: () => Topics, receive: (frame: Frame) => void, ended: (wait: number) => void) => Link;
