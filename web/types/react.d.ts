/**
 * Names the service for the components below it.
 * @param {{ api: string, site?: string, children?: import('react').ReactNode }} props
 */
export declare function TallyProvider({ api, site, children }: {
    api: string;
    site?: string;
    children?: import('react').ReactNode;
}): import("react").FunctionComponentElement<import("react").ProviderProps<{
    api: string;
    tally: import('./main.js').Tally;
} | undefined>>;
/**
 * Returns a topic's live number, and functions that change it. On a server, and until the service sends a number,
 * the count is the one given.
 * @param {string} name site/metric/key
 * @param {number} [count] that the page is rendered with
 * @returns {{ count: number | undefined, mine: number, like: () => Promise<unknown>, unlike: () => Promise<unknown>,
 *   contribute: (amount: number) => Promise<unknown> }}
 */
export declare function useTally(name: string, count?: number): {
    count: number | undefined;
    mine: number;
    like: () => Promise<unknown>;
    unlike: () => Promise<unknown>;
    contribute: (amount: number) => Promise<unknown>;
};
/**
 * `<tally-like>` with its attributes as properties. Use the other elements by their tags.
 * @param {{ page?: string, site?: string, metric?: string, count?: number, label?: string, kept?: string, refused?: string,
 *   live?: 'off', className?: string, style?: import('react').CSSProperties, children?: import('react').ReactNode,
 *   onChange?: (event: CustomEvent<{ count: number, mine: number, source: 'server' | 'visitor' }>) => void,
 *   onError?: (event: CustomEvent<{ code?: string, message?: string }>) => void }} props children show
 *   without a script: a form, for example
 */
export declare function Like({ onChange, onError, ...props }: {
    page?: string;
    site?: string;
    metric?: string;
    count?: number;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    onChange?: (event: CustomEvent<{
        count: number;
        mine: number;
        source: 'server' | 'visitor';
    }>) => void;
    onError?: (event: CustomEvent<{
        code?: string;
        message?: string;
    }>) => void;
}): import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    count?: number;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
