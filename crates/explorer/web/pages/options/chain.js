// The options of a chain: by expiry, by strike, calls on the left and puts on the right.

import { h } from '../../lib/dom.js';
import { day, fixed, number, price } from '../../lib/format.js';

/** `{ expiries: [{ date, days, options, strikes }], unplaced }` of the rows of an answer. */
export function chainOf({ columns, rows }) {
  const options = rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  const placed = ({ optn_strike: strike, optn_expn_date: date, optn_tp: kind }) =>
    strike !== null && date !== null && (kind === 'CALL' || kind === 'PUTT');
  const expiries = [...Map.groupBy(options.filter(placed), (option) => option.optn_expn_date)].map(([date, some]) => ({
    date,
    days: some.find((option) => option.optn_expn_days !== null)?.optn_expn_days ?? null,
    options: some,
    strikes: strikesOf(some),
  }));
  return {
    expiries: expiries.sort((a, b) => a.date.localeCompare(b.date)),
    unplaced: options.filter((option) => !placed(option)),
  };
}

/** `{ strike, calls, puts }` in ascending order. */
function strikesOf(options) {
  const strikes = Map.groupBy(options, (option) => option.optn_strike);
  return [...strikes]
    .sort(([a], [b]) => a - b)
    .map(([strike, some]) => ({
      strike,
      calls: some.filter(({ optn_tp: kind }) => kind === 'CALL'),
      puts: some.filter(({ optn_tp: kind }) => kind === 'PUTT'),
    }));
}

/** Bid and ask of the underlying, as the rows have them: the first that is there. */
export function underlyingOf(expiries) {
  const first = (name) =>
    expiries.flatMap(({ options }) => options).find((option) => option[name] !== null)?.[name] ?? null;
  return { bid: first('ua_mkt_bid'), ask: first('ua_mkt_ask') };
}

/** Whether an option is in, at or out of the money; at it where its strike is not clear of bid and ask of the underlying. */
export function moneyness({ optn_tp: kind, optn_strike: strike, ua_mkt_bid: bid, ua_mkt_ask: ask }) {
  if (bid === null || ask === null) return null;
  if (strike >= bid && strike <= ask) return 'at';
  return (kind === 'CALL') === strike < bid ? 'in' : 'out';
}

const HEAD = {
  delta: ['Δ', 'Black-Scholes delta'],
  bs: ['BS bid · ask', 'Black-Scholes'],
  bid: ['bid', 'Best bid'],
  ask: ['ask', 'Best ask'],
};

const CELLS = {
  ticker: ({ ticker }) =>
    h('td', { class: 'mono' }, h('a', { href: `/series?ticker=${encodeURIComponent(ticker)}` }, ticker)),
  delta: (option) => h('td', { class: 'number' }, fixed(option.optn_bs_delta, 3)),
  bs: (option) =>
    h('td', { class: 'number muted' }, `${fixed(option.optn_bs_bid, 4)} · ${fixed(option.optn_bs_ask, 4)}`),
  bid: ({ optn_mkt_bid: bid, optn_bs_ask: model }) =>
    market(bid, bid !== null && model !== null && bid > model, 'rich', 'bid above the Black-Scholes ask'),
  ask: ({ optn_mkt_ask: ask, optn_bs_bid: model }) =>
    market(ask, ask !== null && model !== null && ask < model, 'cheap', 'ask below the Black-Scholes bid'),
};

/** A price of the market, marked where it is beyond the model's. */
function market(value, marked, mark, meaning) {
  return h(
    'td',
    { class: `number${marked ? ` ${mark}` : ''}`, title: marked && meaning },
    price(value),
    marked && h('span', { class: 'visually-hidden' }, ` ${mark}`),
  );
}

const CALLS = ['ticker', 'delta', 'bs', 'bid', 'ask'];
const PUTS = [...CALLS].reverse().map((name) => ({ bid: 'ask', ask: 'bid' })[name] ?? name);

/** The table of one expiry. */
export function expiryTable({ date, days, strikes, options }) {
  const heads = (names) =>
    names.map((name) =>
      name === 'ticker'
        ? h('th', { scope: 'col' }, 'option')
        : h('th', { scope: 'col', class: 'number', title: HEAD[name][1] }, HEAD[name][0]),
    );
  const cells = (option, names) =>
    names.map((name) => {
      if (!option) return h('td');
      const cell = CELLS[name](option);
      const money = moneyness(option);
      if (money) cell.classList.add(`${money}-money`);
      return cell;
    });
  const lines = strikes.flatMap(({ strike, calls, puts }) =>
    Array.from({ length: Math.max(calls.length, puts.length) }, (_, at) => {
      const name = h('th', { scope: 'row', class: 'strike' }, price(strike));
      const row = h('tr', { 'data-strike': strike }, cells(calls[at], CALLS), name, cells(puts[at], PUTS));
      if (moneyness(calls[at] ?? puts[at]) === 'at') row.classList.add('at');
      return row;
    }),
  );
  const caption = `${day(date)}: ${number(days)} business days, ${number(options.length)} options`;
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'chain', 'data-expiry': date },
      h('caption', {}, caption),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { colspan: CALLS.length, scope: 'colgroup' }, 'Calls'),
          h('th'),
          h('th', { colspan: PUTS.length, scope: 'colgroup', class: 'number' }, 'Puts'),
        ),
        h('tr', {}, heads(CALLS), h('th', { scope: 'col', class: 'strike' }, 'strike'), heads(PUTS)),
      ),
      h('tbody', {}, lines),
    ),
  );
}
