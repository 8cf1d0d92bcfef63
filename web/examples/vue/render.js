import { createSSRApp } from 'vue';
import { renderToString } from 'vue/server-renderer';
import App from './App.vue';

/** @param {object} props */
export const render = (props) => renderToString(createSSRApp(App, props));
