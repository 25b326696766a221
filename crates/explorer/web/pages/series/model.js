// What is drawn of an answer: the time axis, with a place for each slot and an empty one between days, and the values along it.

/** Which columns an instrument has, and what they are called. */
export const COLUMNS = {
  micro: 'micro-price',
  bid: 'bid',
  qty_bid: 'quantity at bid',
  ask: 'ask',
  qty_ask: 'quantity at ask',
  last: 'last',
  traded: 'traded since',
  total: 'traded today',
  trades: 'trades today',
};

/** Whether a place of the axis lies between two days. */
export const isBreak = (name) => name.startsWith('night');

/**
 * The model of a picture:
 * - `axis`: the names of the places, an intdate as text or a break, no two of them the same;
 * - `starts`: of each day, its date and the place of its first slot;
 * - `instruments`: each with its `values` along the axis, and the places of its `firsts` (the first figures of a day) and `falls`;
 * - `spread`: of the first two, or null.
 *
 * Every list of values has one for each place of the axis, null where there is none, and so has the data of every series that is
 * drawn: an index into any of them is a place of the axis.
 */
export function model(answer) {
  const axis = [];
  const slots = [];
  const starts = [];
  let slot = 0;
  for (const { date, slots: times } of answer.days) {
    if (axis.length) {
      slots.push(null);
      axis.push(`night before ${date}`);
    }
    starts.push({ date, at: axis.length });
    for (const time of times) {
      slots.push(slot);
      axis.push(String(time));
      slot += 1;
    }
  }
  const along = (values) => slots.map((at) => (at === null ? null : values[at]));
  const instruments = answer.instruments.map(({ ticker, values, contradictions }) => {
    const placed = Object.fromEntries(Object.entries(values).map(([name, list]) => [name, along(list)]));
    return { ticker, contradictions, values: placed, ...totals(axis, placed) };
  });
  const spread = answer.spread && { ...answer.spread, values: along(answer.spread.values) };
  return { axis, starts, instruments, spread, base: rebase(instruments) };
}

/**
 * Of the totals of each day: the places of the first ones, whose step is all that was traded before them, and of those that
 * are less than the one before, for which there is no step to be drawn; and for each place the one that its step is counted from.
 */
function totals(axis, { total, traded }) {
  const firsts = new Set();
  const falls = [];
  const since = [];
  let before = null;
  axis.forEach((name, at) => {
    if (isBreak(name)) before = null;
    if (isBreak(name) || total[at] === null) return;
    if (before === null) firsts.add(at);
    if (traded[at] < 0) falls.push(at);
    since[at] = before;
    before = at;
  });
  return { firsts, falls, since, bars: traded.map((step) => (step < 0 ? null : step)) };
}

/** Sets 100 to the first place where every instrument has a micro-price, if there is one; gives that place. */
function rebase(instruments) {
  const [first, ...others] = instruments;
  if (!first) return -1;
  const base = first.values.micro.findIndex(
    (value, at) => value !== null && others.every(({ values }) => values.micro[at] !== null),
  );
  for (const instrument of instruments) {
    const { micro } = instrument.values;
    instrument.rebased = micro.map((value) => (value === null || base < 0 ? null : (100 * value) / micro[base]));
  }
  return base;
}

/** The place that a tooltip is for, by its name on the axis: of all that ECharts passes, what holds for every series. -1 for none. */
export const placeOf = ({ axis }, points) => (points.length ? axis.indexOf(String(points[0].axisValue)) : -1);

/** The places from `first` to `last` that lie nearest to a window of the axis, which is written `202004011000-202004011650`. */
export function places(axis, window) {
  const [from, to] = window.split('-').map(Number);
  const first = axis.findIndex((name) => Number(name) >= from);
  const last = axis.findLastIndex((name) => Number(name) <= to);
  return window && first >= 0 && last > first ? [first, last] : [0, axis.length - 1];
}

/** How the window from `first` to `last` is written; nothing for the whole axis. */
export function written(axis, [first, last]) {
  if (first <= 0 && last >= axis.length - 1) return '';
  const slots = axis.slice(first, last + 1).filter((name) => !isBreak(name));
  return slots.length > 1 ? `${slots[0]}-${slots.at(-1)}` : '';
}
