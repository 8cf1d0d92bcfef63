/**
 * Names the service for the components below it, and the reader: identify returns the token by which the site's backend
 * signs who reads, or nothing if nobody is signed in. Leave it out after signing out.
 * @param {{ api: string, site?: string, identify?: import('./signin.js').GetToken | null, children?: import('react').ReactNode }} props
 */
export declare function TallyProvider({ api, site, identify, children }: {
    api: string;
    site?: string;
    identify?: import('./signin.js').GetToken | null;
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
 * @returns {{ count: number | undefined, mine: number, options?: number[], like: () => Promise<unknown>,
 *   unlike: () => Promise<unknown>, contribute: (amount: number) => Promise<unknown>, choose: (option: number) => Promise<unknown> }}
 */
export declare function useTally(name: string, count?: number): {
    count: number | undefined;
    mine: number;
    options?: number[];
    like: () => Promise<unknown>;
    unlike: () => Promise<unknown>;
    contribute: (amount: number) => Promise<unknown>;
    choose: (option: number) => Promise<unknown>;
};
export type Props = {
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    onChange?: (event: CustomEvent<import('../elements.js').TallyChange>) => void;
    onError?: (event: CustomEvent<import('../elements.js').TallyFailure>) => void;
};
export type ChoiceProps = Props & {
    count?: string;
    options?: string;
    closed?: boolean;
    withdraw?: string;
};
/**
 * `<tally-like>`. Use the elements that have no component by their tags.
 * @param {Props & { count?: number }} props
 */
export declare const Like: (props: Props & {
    count?: number;
}) => import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
/**
 * `<tally-poll>`
 * @param {ChoiceProps & { results?: 'after', send?: string, total?: string }} props
 */
export declare const Poll: (props: ChoiceProps & {
    results?: 'after';
    send?: string;
    total?: string;
}) => import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
/**
 * `<tally-rating>`
 * @param {ChoiceProps & { send?: string, total?: string }} props
 */
export declare const Rating: (props: ChoiceProps & {
    send?: string;
    total?: string;
}) => import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
/**
 * `<tally-vote>`
 * @param {ChoiceProps & { show?: 'both' }} props
 */
export declare const Vote: (props: ChoiceProps & {
    show?: 'both';
}) => import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
/**
 * `<tally-trend>`
 * @param {Props & { count?: number, days?: number }} props
 */
export declare const Trend: (props: Props & {
    count?: number;
    days?: number;
}) => import("react").DOMElement<{
    page?: string;
    site?: string;
    metric?: string;
    label?: string;
    kept?: string;
    refused?: string;
    live?: 'off';
    className?: string;
    style?: import('react').CSSProperties;
    children?: import('react').ReactNode;
    ref: import("react").RefObject<HTMLElement | null>;
}, HTMLElement>;
