// The checks of each run, how they developed, and the whole report of one.

import { failure, empty, h, replace, table } from '../../lib/dom.js';
import { bytes, day as dayText, instant, number, percent } from '../../lib/format.js';

/** Draws the audits into `root`: the latest runs side by side, and below them the one that is chosen. */
export async function audits(root, context) {
  const { ask, view } = context;
  const page = Number(view.get('runs', '0')) || 0;
  const data = await ask('quality/runs', { page });
  const detail = h('div', {});
  replace(
    root,
    h(
      'section',
      { class: 'panel', 'aria-label': 'Checks' },
      h('h2', {}, 'Checks of the runs'),
      data.runs.length
        ? matrix(data, page, context)
        : empty(
            'No run has been audited yet.',
            h(
              'span',
              {},
              'Start create_datalake for the days of the raw files under ',
              h('a', { href: '/runs?workflow=create_datalake' }, 'Runs'),
              '.',
            ),
          ),
      detail,
    ),
  );
  if (view.get('run')) await report(detail, context);
}

/** Shares below what is shown are not nothing. */
const share = (value) => (value > 0 && value < 0.0001 ? `< ${percent(0.0001)}` : percent(value));

/** Checks by runs, the oldest first, so that one reads from left to right how they developed. */
function matrix({ runs: latest, more }, page, { view, choose }) {
  const runs = [...latest].reverse();
  const chosen = view.get('run');
  const rows = [];
  for (const { tables } of runs) {
    for (const { table: name, checks } of tables) {
      for (const check of checks)
        if (!rows.some((row) => row.table === name && row.check === check.name))
          rows.push({ table: name, check: check.name });
    }
  }
  const find = (run, row) =>
    run.tables.find(({ table: name }) => name === row.table)?.checks.find(({ name }) => name === row.check);
  const cell = (run, row) => {
    const check = find(run, row);
    if (!check) return h('td', { class: 'muted' }, '–');
    const marks = {
      'data-check': `${row.table}/${row.check}`,
      'data-run': run.run,
      'data-passed': String(check.passed),
    };
    return h(
      'td',
      { class: `check ${check.passed ? 'passed' : 'broken'}`, title: figures(check), ...marks },
      `${check.passed ? '✓' : '✗'} ${share(check.share)}`,
    );
  };
  const head = ({ run, from, to, written }) => {
    const open = run === chosen;
    const pick = () => choose({ run: open ? '' : run });
    return h(
      'th',
      { scope: 'col', 'aria-current': open ? 'true' : null },
      h(
        'button',
        { type: 'button', class: 'link', 'data-audit': run, title: run, 'aria-expanded': String(open), onclick: pick },
        from === to ? dayText(from) : `${dayText(from)} – ${dayText(to)}`,
      ),
      h('div', { class: 'muted when' }, instant(written)),
    );
  };
  const line = (row) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, `${row.table} `, h('span', { class: 'mono' }, row.check)),
      runs.map((run) => cell(run, row)),
    );
  const turn = (to, id, label, able) =>
    h('button', { type: 'button', id, disabled: !able, onclick: () => choose({ runs: to || '' }) }, label);
  return [
    h(
      'p',
      { class: 'muted' },
      'The share of what failed, run by run, the latest to the right. A run shows its figures, limits and examples.',
    ),
    h(
      'div',
      { class: 'scroll' },
      h(
        'table',
        { id: 'checks' },
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Check'), runs.map(head))),
        h('tbody', {}, rows.map(line)),
      ),
    ),
    (page > 0 || more) &&
      h(
        'div',
        { class: 'pages' },
        turn(page + 1, 'audits-older', 'Older', more),
        turn(page - 1, 'audits-newer', 'Newer', page > 0),
      ),
  ];
}

const figures = ({ failing, checked, unit, limit }) =>
  `${number(failing)} of ${number(checked)} ${unit}, at most ${percent(limit)}`;

async function report(root, { ask, view }) {
  const run = view.get('run');
  let data;
  try {
    data = await ask('quality/report', { run });
  } catch (error) {
    replace(root, failure(error));
    return;
  }
  if (view.get('run') !== run) return;
  replace(
    root,
    h(
      'div',
      { id: 'report', 'data-run': run },
      h('h2', {}, 'Run ', h('span', { class: 'mono' }, run)),
      h(
        'p',
        { class: 'line' },
        h('a', { href: `/runs?run=${encodeURIComponent(run)}` }, 'Its states, under Runs'),
        h('span', { class: 'mono muted' }, data.place),
      ),
      data.reports.map(tableReport),
    ),
  );
}

function tableReport(one) {
  return h(
    'div',
    { 'data-report': one.table, 'data-passed': String(one.passed) },
    h(
      'h3',
      {},
      `${one.passed ? '✓' : '✗'} ${one.table} `,
      h('span', { class: one.passed ? 'good' : 'bad' }, one.passed ? 'passed' : 'failed'),
    ),
    h('p', {}, account(one)),
    table(
      [
        { name: 'Check', cell: ({ name }) => h('span', { class: 'mono' }, name) },
        {
          name: 'Result',
          cell: ({ passed }) => h('span', { class: passed ? 'good' : 'bad' }, passed ? '✓ passed' : '✗ failed'),
        },
        { name: 'Failing', number: true, cell: ({ failing }) => number(failing) },
        { name: 'Of', number: true, cell: ({ checked, unit }) => `${number(checked)} ${unit}` },
        { name: 'Share', number: true, cell: (check) => share(check.share) },
        { name: 'Limit', number: true, cell: ({ limit }) => percent(limit) },
        { name: 'Where', cell: where },
      ],
      one.checks,
    ),
    h(
      'details',
      {},
      h('summary', {}, `${number(one.days.length)} days`),
      table(
        [
          { name: 'Day', cell: ({ date }) => dayText(date) },
          { name: 'Rows', number: true, cell: ({ rows }) => number(rows) },
          { name: 'Tickers', number: true, cell: ({ tickers }) => number(tickers) },
          { name: 'Files', number: true, cell: ({ parquet_files: files }) => number(files) },
          { name: 'Size', number: true, cell: ({ parquet_bytes: size }) => bytes(size) },
        ],
        one.days,
      ),
    ),
  );
}

/** Where the rows came from, and what became of the other records. */
function account({ table: name, rows, records, duplicates }) {
  if (name === 'rejects') return `${number(rows)} rows.`;
  return (
    `${number(rows)} rows of ${number(records.records)} records: ${number(records.blank_ticker)} without a ticker, ` +
    `${number(records.header_repeat)} repeated headers, ${number(records.ragged)} ragged; ` +
    `${number(duplicates.rows - duplicates.keys)} rows are duplicates, and kept.`
  );
}

/** The days on which a check failed, and a few examples. */
function where({ days, examples }) {
  const named = days.first.map(dayText).join(', ');
  const more = days.count > days.first.length ? ` and ${number(days.count - days.first.length)} more days` : '';
  if (!examples.length) return `${named}${more}`;
  return h(
    'details',
    {},
    h('summary', {}, `${named}${more}` || 'examples'),
    h(
      'ul',
      { class: 'examples' },
      examples.map((example) =>
        h('li', {}, typeof example === 'string' ? example : h('code', {}, JSON.stringify(example))),
      ),
    ),
  );
}
