import { render as renderComponent } from 'svelte/server';
import App from './App.svelte';

/** @param {object} props */
export const render = async (props) => (await renderComponent(App, { props })).body;
