// The volatility smile: what the market's prices imply by strike, against what the underlying has done.

import { axis as axisLook, base, colour } from '../../lib/chart.js';
import { h } from '../../lib/dom.js';
import { day, number, percent, price } from '../../lib/format.js';

/** The lines of an expiry: of which options, which column, and how it is drawn. */
const LINES = [
  { id: 'call-bid', name: 'calls, bid', kind: 'calls', column: 'bid_volimp', shade: 'series-1', symbol: 'circle' },
  { id: 'call-ask', name: 'calls, ask', kind: 'calls', column: 'ask_volimp', shade: 'series-2', symbol: 'circle' },
  { id: 'put-bid', name: 'puts, bid', kind: 'puts', column: 'bid_volimp', shade: 'series-1', symbol: 'triangle' },
  { id: 'put-ask', name: 'puts, ask', kind: 'puts', column: 'ask_volimp', shade: 'series-2', symbol: 'triangle' },
];
const CONE = 'historical cone';

/** Room around the panels, and their height. */
const [HEIGHT, GAP] = [210, 66];
/** The legend takes two lines where the picture is narrow. */
const topOf = (narrow) => (narrow ? 94 : 70);

/** How high the picture is. */
export const smileHeight = (expiries, { columns, narrow }) =>
  topOf(narrow) + Math.ceil(expiries.length / columns) * (HEIGHT + GAP) - 14;

/** What ECharts is given: a panel for each expiry, all to the same scale. */
export function smile(expiries, underlying, { columns, narrow }) {
  const look = base();
  const [low, high] = range(expiries);
  const width = 100 / columns;
  const left = (at) => `${(at % columns) * width + (columns > 1 ? 4.5 : 11)}%`;
  const top = (at) => topOf(narrow) + Math.floor(at / columns) * (HEIGHT + GAP);
  return {
    ...look,
    legend: {
      top: 4,
      itemWidth: 16,
      itemGap: 10,
      textStyle: { color: colour('text') },
      data: [...LINES.map(({ name }) => name), { name: CONE, icon: 'rect' }],
    },
    title: expiries.map(({ date, days }, at) => ({
      text: `${day(date)} · ${number(days)} business days`,
      left: left(at),
      top: top(at) - 36,
      padding: 0,
      textStyle: { fontSize: 13, color: colour('text') },
    })),
    grid: expiries.map((_, at) => ({
      left: left(at),
      width: `${width - (columns > 1 ? 6.5 : 14)}%`,
      top: top(at),
      height: HEIGHT,
    })),
    xAxis: expiries.map((_, gridIndex) => ({
      ...axisLook(),
      type: 'value',
      gridIndex,
      scale: true,
      splitLine: { show: false },
      axisLabel: { color: colour('muted'), formatter: price, hideOverlap: true },
      axisPointer: { label: { formatter: ({ value }) => price(value) } },
    })),
    yAxis: expiries.map((_, gridIndex) => ({
      ...axisLook(),
      type: 'value',
      gridIndex,
      min: low,
      max: high,
      interval: (high - low) / 4,
      axisLabel: { color: colour('muted'), formatter: (value) => percent(value, 1) },
    })),
    tooltip: {
      ...look.tooltip,
      trigger: 'axis',
      axisPointer: { type: 'line', snap: true },
      formatter: (points) => tip(expiries, points),
    },
    series: expiries.flatMap((expiry, at) => panel(expiry, underlying, at)),
  };
}

/** The volatilities of all expiries lie within it: whole twentieths. */
function range(expiries) {
  const columns = ['bid_volimp', 'ask_volimp', 'bid_volcone', 'ask_volcone'];
  const all = expiries.flatMap(({ options }) => options.flatMap((option) => columns.map((name) => option[name])));
  const values = all.filter((value) => value !== null);
  if (!values.length) return [0, 1];
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  return [Math.floor(low * 20) / 20, Math.ceil(high * 20) / 20];
}

function panel({ date, strikes }, underlying, at) {
  const place = { xAxisIndex: at, yAxisIndex: at };
  const lines = LINES.map(({ id, name, kind, column, shade, symbol }) => ({
    ...place,
    type: 'line',
    id: `${id}:${date}`,
    name,
    symbol,
    symbolSize: symbol === 'circle' ? 4 : 8,
    // A call and a put of the same volatility are both seen.
    z: symbol === 'circle' ? 4 : 3,
    showAllSymbol: true,
    connectNulls: false,
    color: colour(shade),
    lineStyle: { width: 1.2, opacity: 0.7 },
    data: strikes.flatMap((one) => one[kind].map((option) => [one.strike, option[column]])),
  }));
  const cone = {
    ...place,
    type: 'custom',
    id: `cone:${date}`,
    name: CONE,
    color: colour('series-3'),
    encode: { x: [0, 3], y: [1, 2, 4, 5] },
    clip: true,
    z: 1,
    data: quads(strikes),
    renderItem: quad,
    tooltip: { show: false },
    markLine: {
      silent: true,
      symbol: 'none',
      lineStyle: { color: colour('muted'), type: 'dashed' },
      label: { color: colour('muted'), formatter: ({ value }) => price(value) },
      data: spot(underlying),
    },
  };
  return [cone, ...lines];
}

const spot = ({ bid, ask }) => (bid === null || ask === null ? [] : [{ xAxis: (bid + ask) / 2, name: 'underlying' }]);

/** The cone between neighbouring strikes: strike, low and high of the one and of the other. */
function quads(strikes) {
  const cones = strikes.flatMap(({ strike, calls, puts }) => {
    const option = [...calls, ...puts].find(({ bid_volcone: low, ask_volcone: high }) => low !== null && high !== null);
    return option ? [[strike, option.bid_volcone, option.ask_volcone]] : [];
  });
  return cones.slice(1).map((cone, at) => [...cones[at], ...cone]);
}

function quad(_params, api) {
  const corner = (x, y) => api.coord([api.value(x), api.value(y)]);
  const points = [corner(0, 1), corner(3, 4), corner(3, 5), corner(0, 2)];
  return { type: 'polygon', shape: { points }, style: { fill: api.visual('color'), opacity: 0.22 } };
}

/** The volatilities of a strike. */
function tip(expiries, points) {
  const point = points.find(({ seriesId }) => !seriesId.startsWith('cone'));
  if (!point) return '';
  const expiry = expiries.find(({ date }) => point.seriesId.endsWith(date));
  const strike = expiry.strikes.find((one) => one.strike === point.value[0]);
  if (!strike) return '';
  const row = (option) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, option.ticker),
      ['bid_volimp', 'ask_volimp', 'bid_volcone', 'ask_volcone'].map((name) =>
        h('td', { class: 'number' }, percent(option[name])),
      ),
    );
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
          h('th', {}, price(strike.strike)),
          ['bid', 'ask', 'cone, bid', 'cone, ask'].map((name) => h('th', { class: 'number' }, name)),
        ),
      ),
      h('tbody', {}, [...strike.calls, ...strike.puts].map(row)),
    ),
  );
}
