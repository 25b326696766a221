// Statements to start from, about the latest day that is published. Each reads one day.

/** The condition by which Athena reads one day and no other. */
export function onDay(iso) {
  const [year, month, date] = iso.split('-').map(Number);
  return `year = ${year} AND month = ${month} AND day = ${date}`;
}

/** `{ name, statement }`s. */
export function examples(lake) {
  const on = (name) => onDay(lake.tables.find((table) => table.name === name).days.at(-1) ?? '2020-04-01');
  const [quotes, options, rejects] = ['quotes', 'options', 'rejects'].map(on);
  return [
    {
      name: 'Most traded',
      statement: `SELECT ticker, max(num_trades) AS trades, max(total_volume) AS volume
FROM quotes
WHERE ${quotes}
GROUP BY ticker
ORDER BY volume DESC
LIMIT 20`,
    },
    {
      name: 'Micro-price of PETR4',
      statement: `SELECT intdate, bid, ask,
       (qty_bid * ask + qty_ask * bid) / nullif(qty_bid + qty_ask, 0) AS micro_price
FROM quotes
WHERE ${quotes}
  AND ticker = 'PETR4'
ORDER BY intdate`,
    },
    {
      name: 'Snapshots of the day',
      statement: `SELECT intdate, count(*) AS instruments, count(bid) AS with_a_bid
FROM quotes
WHERE ${quotes}
GROUP BY intdate
ORDER BY intdate`,
    },
    {
      name: 'Option chain of PETR4',
      statement: `SELECT ticker, optn_tp, optn_expn_date, optn_strike, optn_mkt_bid, optn_mkt_ask, optn_bs_bid, optn_bs_ask
FROM options
WHERE ${options}
  AND optn_ua = 'PETR4'
  AND intdate = (SELECT max(intdate) FROM options WHERE ${options})
ORDER BY optn_expn_date, optn_strike, optn_tp`,
    },
    {
      name: 'Rejects by column and reason',
      statement: `SELECT table_name, column_name, reason, count(*) AS cells, min(text) AS example
FROM rejects
WHERE ${rejects}
GROUP BY table_name, column_name, reason
ORDER BY cells DESC`,
    },
    { name: 'Published days', statement: 'SHOW PARTITIONS quotes' },
  ];
}
