/** The library of the plot, bundled as a separate file. */
import 'uplot/dist/uPlot.min.css';

export { default } from 'uplot';
