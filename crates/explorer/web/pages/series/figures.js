// The figures behind a picture, for a table that can be read aloud and for a file.

import { h, table } from '../../lib/dom.js';
import { intdate, number, price } from '../../lib/format.js';
import { COLUMNS, isBreak } from './model.js';

/** As many rows as a person looks through; the file has all of them. */
const MOST_ROWS = 300;

/** `{ columns, rows }` of the places from `first` to `last`: what is drawn in this way. */
export function figures({ axis, instruments, spread }, scale, [first, last]) {
  const places = [];
  for (let at = first; at <= last; at += 1) if (!isBreak(axis[at])) places.push(at);
  if (scale === 'spread' && spread) return pair(axis, instruments, spread, places);
  const names = [...Object.keys(COLUMNS), ...(scale === 'rebased' ? ['rebased'] : [])];
  const rows = places.flatMap((at) =>
    instruments.map(({ ticker, values, rebased }) => [
      Number(axis[at]),
      ticker,
      ...names.map((name) => (name === 'rebased' ? rebased[at] : values[name][at])),
    ]),
  );
  // A slot without a snapshot has no figures.
  return {
    columns: ['intdate', 'ticker', ...names],
    rows: rows.filter((row) => row.slice(2).some((value) => value !== null)),
  };
}

function pair(axis, instruments, { a, b, values }, places) {
  const of = (ticker) => instruments.find((instrument) => instrument.ticker === ticker)?.values.micro ?? [];
  const [first, second] = [of(a), of(b)];
  const rows = places.map((at) => [Number(axis[at]), first[at] ?? null, second[at] ?? null, values[at]]);
  return {
    columns: ['intdate', a, b, 'spread'],
    rows: rows.filter((row) => row.slice(1).some((value) => value !== null)),
  };
}

const PRICES = new Set(['micro', 'bid', 'ask', 'last', 'spread']);

/** The figures as a table. */
export function figuresTable({ columns, rows }) {
  const shown = rows.slice(0, MOST_ROWS);
  const text = (name, value) => {
    if (name === 'intdate') return intdate(value);
    if (typeof value === 'string') return value;
    return PRICES.has(name) ? price(value) : number(value, 4);
  };
  const described = columns.map((name, at) => ({
    name,
    label: COLUMNS[name] ?? name,
    number: name !== 'intdate' && name !== 'ticker',
    cell: (row) => text(name, row[at]),
  }));
  return [
    table(described, shown, { class: 'figures' }),
    rows.length > shown.length &&
      h(
        'p',
        { class: 'muted' },
        `The first ${number(shown.length)} of ${number(rows.length)} rows. Zoom in for others; the file has all of them.`,
      ),
  ];
}
