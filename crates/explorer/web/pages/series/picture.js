// How the time series are drawn: for each instrument its prices with what was traded below, all over the same times.

import { axis as axisLook, base, colour, palette } from '../../lib/chart.js';
import { h } from '../../lib/dom.js';
import { compact, intdate, number, price, snapshot } from '../../lib/format.js';
import { labels } from './labels.js';
import { isBreak, placeOf } from './model.js';

/** Heights in pixels: of what stands alone, and of one among several. */
const HEIGHTS = { price: [300, 170], volume: [84, 54] };
/** Room above the first panel, between panels, and below the last one for the times and the slider. */
const [TOP, GAP, TITLE, BOTTOM] = [12, 20, 46, 76];
/** Room for the values at the left, and for half a date at the right. */
const [LEFT, RIGHT] = [62, 36];

/** The panels of a picture from the top, and how high it is. */
export function layout(model, scale, narrow) {
  const panels = scale === 'rebased' ? rebasedPanels(model) : ownPanels(model, scale === 'spread');
  const alone = panels.filter(({ kind }) => kind === 'price').length === 1 ? 0 : 1;
  let top = TOP;
  for (const panel of panels) {
    top += panel.title ? TITLE : GAP;
    panel.top = top;
    panel.height = Math.round(HEIGHTS[panel.kind][alone] * (narrow ? 0.8 : 1));
    top += panel.height;
  }
  return { panels, height: top + BOTTOM };
}

function ownPanels({ instruments, spread }, paired) {
  const legs =
    paired && spread ? instruments.filter(({ ticker }) => ticker === spread.a || ticker === spread.b) : instruments;
  const panels = legs.flatMap((instrument) => {
    const at = instruments.indexOf(instrument);
    return [
      { kind: 'price', title: instrument.ticker, at, draw: () => prices(instrument, at), format: price },
      ...(paired ? [] : [{ kind: 'volume', draw: () => [bars(instrument, at, 'traded')], format: compact }]),
    ];
  });
  if (paired && spread)
    panels.unshift({ kind: 'price', title: spreadName(spread), draw: () => [difference(spread)], format: price });
  return panels;
}

function rebasedPanels({ instruments }) {
  const all = (draw) => () => instruments.map(draw);
  const line = (instrument, at) => ({
    ...lineOf(`rebased:${instrument.ticker}`, instrument.ticker, instrument.rebased),
    color: colourOf(at),
    lineStyle: { width: 1.8 },
  });
  return [
    { kind: 'price', draw: all(line), format: (value) => number(value, 2) },
    { kind: 'volume', draw: all((instrument, at) => bars(instrument, at, instrument.ticker)), format: compact },
  ];
}

/** How a spread is called. */
export const spreadName = ({ a, b, ratio }) => `${a} − ${number(ratio)} × ${b}`;

export const colourOf = (at) => palette()[at % palette().length];

/** A line through values. A value that stands alone between gaps has no line, so it is marked. */
function lineOf(id, name, values) {
  const alone = (at) => (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;
  return {
    type: 'line',
    id,
    name,
    data: values,
    connectNulls: false,
    showSymbol: true,
    showAllSymbol: true,
    symbol: 'circle',
    symbolSize: (_value, { dataIndex }) => (alone(dataIndex) ? 4 : 0),
    emphasis: { disabled: true },
  };
}

function prices({ ticker, values }, at) {
  const band = values.bid.map((bid, place) =>
    bid === null || values.ask[place] === null ? [place, null, null] : [place, bid, values.ask[place]],
  );
  return [
    {
      type: 'custom',
      id: `band:${ticker}`,
      name: 'bid to ask',
      data: band,
      encode: { x: 0, y: [1, 2] },
      clip: true,
      z: 1,
      itemStyle: { color: colourOf(at), opacity: 0.28 },
      renderItem: bandAt,
    },
    {
      ...lineOf(`last:${ticker}`, 'last', values.last),
      color: colour('muted'),
      lineStyle: { width: 1, type: [2, 3] },
      z: 2,
    },
    { ...lineOf(`micro:${ticker}`, 'micro-price', values.micro), color: colourOf(at), lineStyle: { width: 1.8 }, z: 3 },
  ];
}

/** From bid to ask, as wide as the slot; nothing where one of them is missing. */
function bandAt(_params, api) {
  if (Number.isNaN(api.value(1))) return undefined;
  const [x, bid] = api.coord([api.value(0), api.value(1)]);
  const [, ask] = api.coord([api.value(0), api.value(2)]);
  const width = Math.max(1, api.size([1, 0])[0]);
  const height = Math.max(1, Math.abs(bid - ask));
  return {
    type: 'rect',
    shape: { x: x - width / 2, y: Math.min(bid, ask), width, height },
    style: { fill: api.visual('color'), opacity: 0.28 },
  };
}

function bars(instrument, at, name) {
  const shade = colourOf(at);
  const faded = `${shade}66`;
  return {
    type: 'bar',
    id: `traded:${instrument.ticker}`,
    name,
    data: instrument.bars,
    barCategoryGap: '15%',
    barMinHeight: 1,
    emphasis: { disabled: true },
    // The first bar of a day is of another kind: all that was traded before.
    itemStyle: { color: ({ dataIndex }) => (instrument.firsts.has(dataIndex) ? faded : shade) },
    color: shade,
  };
}

function difference({ values }) {
  return { ...lineOf('spread', 'spread', values), color: colour('text'), lineStyle: { width: 1.8 } };
}

const titleOf = ({ title, top, at }) => ({
  text: title,
  top: top - 30,
  left: 8,
  textStyle: { fontSize: 13, color: at === undefined ? colour('text') : colourOf(at) },
});

/**
 * What ECharts is given. `window` are the first and the last place that are to be shown. `visible()` returns those that are
 * shown while it draws, and `width()` how many pixels it has.
 */
export function picture(model, panels, scale, { window, visible, width }) {
  const labelled = labelsOf(model, visible, width);
  const grids = panels.map((_panel, gridIndex) => times(model, gridIndex, gridIndex === panels.length - 1, labelled));
  const series = panels.flatMap((panel, at) => panel.draw().map((one) => ({ ...one, xAxisIndex: at, yAxisIndex: at })));
  const [startValue, endValue] = window;
  const zoom = { xAxisIndex: panels.map((_, at) => at), startValue, endValue, filterMode: 'filter' };
  const look = base();
  return {
    ...look,
    title: panels.filter((panel) => panel.title).map(titleOf),
    legend: {
      top: 4,
      right: 8,
      itemWidth: 16,
      itemGap: 9,
      textStyle: { color: colour('text') },
      data: legend(model, scale),
    },
    grid: panels.map(({ top, height }) => ({ top, height, left: LEFT, right: RIGHT })),
    xAxis: grids,
    yAxis: panels.map(({ kind, format }, gridIndex) => ({
      ...axisLook(),
      type: 'value',
      gridIndex,
      scale: kind === 'price',
      splitNumber: kind === 'price' ? 5 : 2,
      axisLabel: { color: colour('muted'), formatter: format },
      axisPointer: { label: { formatter: ({ value }) => format(value), ...pointerLabel() } },
    })),
    axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: colour('idle') } },
    tooltip: {
      ...look.tooltip,
      trigger: 'axis',
      axisPointer: { type: 'cross', crossStyle: { color: colour('idle') } },
      formatter: (points) => tip(model, scale, points),
    },
    dataZoom: [
      { ...zoom, type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false },
      {
        ...zoom,
        type: 'slider',
        bottom: 10,
        height: 24,
        labelFormatter: (_, name) => (isBreak(name ?? 'night') ? '' : snapshot(name).time),
        ...sliderLook(),
      },
    ],
    series,
  };
}

const pointerLabel = () => ({ backgroundColor: colour('idle'), color: colour('panel') });

const sliderLook = () => ({
  borderColor: colour('line'),
  textStyle: { color: colour('muted') },
  fillerColor: 'rgba(128, 148, 168, .18)',
  showDataShadow: false,
  brushSelect: false,
  handleStyle: { color: colour('panel'), borderColor: colour('idle') },
  moveHandleStyle: { color: colour('idle') },
});

const LEGEND = {
  '': ['micro-price', { name: 'bid to ask', icon: 'rect' }, 'last', { name: 'traded', icon: 'rect' }],
  spread: ['spread', 'micro-price', { name: 'bid to ask', icon: 'rect' }, 'last'],
};

const legend = ({ instruments }, scale) => LEGEND[scale] ?? instruments.map(({ ticker }) => ticker);

/** The labels of the time axis as it is shown now, chosen once for each window and width. */
function labelsOf(model, visible, width) {
  let chosen = { key: '', texts: new Map() };
  return () => {
    const [first, last] = visible();
    const key = [first, last, width()].join();
    if (key !== chosen.key) chosen = { key, texts: labels(model, [first, last], width() - LEFT - RIGHT) };
    return chosen.texts;
  };
}

/** The times below a panel, and a line between days. */
function times({ axis }, gridIndex, labelled, texts) {
  const look = axisLook();
  return {
    ...look,
    type: 'category',
    gridIndex,
    data: axis,
    boundaryGap: true,
    axisTick: { show: false },
    splitLine: {
      show: true,
      interval: (_at, name) => isBreak(name),
      lineStyle: { color: colour('idle'), type: 'dashed' },
    },
    axisLabel: {
      show: labelled,
      color: colour('muted'),
      hideOverlap: false,
      // By name: of these two functions one gets a place of the axis and the other a place within the window.
      interval: (_at, name) => texts().has(name),
      formatter: (name) => texts().get(name) ?? '',
    },
    axisPointer: {
      label: { show: labelled, formatter: ({ value }) => (isBreak(value) ? '' : intdate(value)), ...pointerLabel() },
    },
  };
}

/** All that is known of a slot. */
function tip({ axis, instruments, spread }, scale, points) {
  const at = placeOf({ axis }, points);
  if (at < 0 || isBreak(axis[at])) return '';
  const there = instruments.filter(({ values }) => Object.values(values).some((list) => list[at] !== null));
  if (!there.length) return h('div', {}, h('strong', {}, intdate(axis[at])), h('div', {}, 'no snapshot'));
  const row = (name, cell) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, name),
      there.map((instrument) => h('td', { class: 'number' }, cell(instrument))),
    );
  const offer =
    (side) =>
    ({ values }) => [
      price(values[side][at]),
      h('span', { class: 'muted' }, ` × ${compact(values[`qty_${side}`][at])}`),
    ];
  return h(
    'div',
    { class: 'tip' },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', {}, intdate(axis[at])),
          there.map((instrument) =>
            h(
              'th',
              { class: 'number', style: `color: ${colourOf(instruments.indexOf(instrument))}` },
              instrument.ticker,
            ),
          ),
        ),
      ),
      h(
        'tbody',
        {},
        row('micro-price', ({ values }) => number(values.micro[at], 4)),
        scale === 'rebased' && row('rebased', ({ rebased }) => number(rebased[at], 3)),
        row('ask', offer('ask')),
        row('bid', offer('bid')),
        row('last', ({ values }) => price(values.last[at])),
        row('traded', (instrument) => step(axis, instrument, at)),
        row('today', ({ values }) => compact(values.total[at])),
        row('trades', ({ values }) => number(values.trades[at])),
      ),
    ),
    scale === 'spread' &&
      spread &&
      h('div', {}, h('strong', {}, spreadName(spread)), ` = ${number(spread.values[at], 4)}`),
  );
}

/** What was traded, and since when. */
function step(axis, { values, since }, at) {
  if (values.traded[at] === null) return number(null);
  const from = since[at] === null ? 'till then' : `since ${snapshot(axis[since[at]]).time}`;
  return [values.traded[at] < 0 ? 'total fell' : compact(values.traded[at]), h('span', { class: 'muted' }, ` ${from}`)];
}
