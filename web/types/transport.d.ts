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
export type Asked = {
    subscribe: string[];
    present: string[];
};
export type Change = Record<string, string[]>;
export type Link = {
    /**
     * false where this link cannot, and is to be opened anew
     */
    change: (change: Change) => boolean;
    close: () => void;
};
export type Open = (api: string, asked: () => Asked, hear: (frame: Frame) => void, ended: (wait: number) => void) => Link;
