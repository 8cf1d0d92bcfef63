/** The library that draws, a file of its own: it changes seldom, and is made of node_modules. */
import 'uplot/dist/uPlot.min.css';

export { default } from 'uplot';
