import { register } from '@tallycast/web/elements';
import { createSSRApp } from 'vue';
import App from './App.vue';

const props = JSON.parse(document.getElementById('props').textContent);
createSSRApp(App, props).mount('#app');
register(props);
