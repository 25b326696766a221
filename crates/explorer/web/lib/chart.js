// Charts are Apache ECharts: of those that draw what a market needs (bands, gaps, bars below, heat maps), the one that is a
// quarter of Plotly's size, and opened and drawn in about a third of its time. It is loaded by the views that draw.

import { locale } from './format.js';

const LIBRARY = '/assets/echarts.js';
let loading = null;

/** The library, loaded once. early.js may have begun before any module was there. */
export function echarts() {
  if (window.echarts) return Promise.resolve(window.echarts);
  loading ??= new Promise((resolve, reject) => {
    const begun = document.querySelector(`script[src="${LIBRARY}"]`);
    const script = begun ?? document.createElement('script');
    script.addEventListener('load', () => resolve(window.echarts));
    script.addEventListener('error', () => {
      // Another try starts from the beginning.
      script.remove();
      loading = null;
      reject(new Error('The chart library could not be loaded: is the explorer still running?'));
    });
    if (!begun) {
      script.src = LIBRARY;
      document.head.append(script);
    }
  });
  return loading;
}

/** A colour of the style sheet, as it is now. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Colours for several lines, told apart by those who see no red and green as well (after Okabe and Ito). */
export const palette = () => ['series-1', 'series-2', 'series-3', 'series-4', 'series-5', 'series-6'].map(colour);

/** What all charts share, for a view's option to be laid over. */
export function base() {
  return {
    animation: false,
    color: palette(),
    backgroundColor: 'transparent',
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour('text') },
    tooltip: {
      backgroundColor: colour('panel'),
      borderColor: colour('line'),
      textStyle: { color: colour('text') },
      confine: true,
    },
    aria: { enabled: true },
  };
}

/** How axes look. */
export const axis = () => ({
  axisLine: { lineStyle: { color: colour('line') } },
  axisLabel: { color: colour('muted') },
  splitLine: { lineStyle: { color: colour('line') } },
});

/** The first and the last place of a category axis that a chart shows. It may be asked for while the chart is drawn. */
export const visible = (instance) => instance.getModel().getComponent('xAxis', 0).axis.scale.getExtent();

/**
 * A chart in `element`, which has its height from the style sheet. `option()` is asked for what to draw: at `draw()`, and
 * when the colours change. What is drawn can be read from `element.chart.getOption()`.
 */
export async function chart(element, option) {
  const library = await echarts();
  const instance = library.init(element, null, { renderer: 'canvas', locale: locale() === 'pt-BR' ? 'PT-br' : 'EN' });
  element.chart = instance;
  const resized = new ResizeObserver(() => instance.resize());
  resized.observe(element);
  const draw = () => {
    // The tooltip is drawn again as well: what still moves the old one would find nothing.
    instance.dispatchAction({ type: 'hideTip' });
    instance.resize();
    instance.setOption(option(), { notMerge: true });
  };
  window.addEventListener('appearance', draw);
  return {
    instance,
    draw,
    dispose() {
      resized.disconnect();
      window.removeEventListener('appearance', draw);
      instance.dispose();
    },
  };
}
