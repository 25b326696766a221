// What could not be read of the files that were taken: by table, column and reason, with the raw texts.

import { empty, h, replace, table } from '../../lib/dom.js';
import { day as dayText, intdate, number } from '../../lib/format.js';

/** Draws the rejects of the days that are shown into `root`. */
export async function rejects(root, context) {
  const { ask, from, to, view } = context;
  const data = await ask('quality/rejects', { from, to });
  const chosen = { table: view.get('table'), column: view.get('column'), reason: view.get('reason') };
  const rows = h('div', {});
  replace(
    root,
    h(
      'section',
      { class: 'panel', 'aria-label': 'Rejects' },
      h(
        'h2',
        {},
        'What could not be read',
        h('span', { class: 'muted' }, from && ` ${from === to ? dayText(from) : `${dayText(from)} – ${dayText(to)}`}`),
      ),
      data.groups.length ? groups(data, chosen, context) : nothing(data),
      rows,
    ),
  );
  if (chosen.reason) await texts(rows, chosen, context);
}

const nothing = ({ days }) =>
  days
    ? empty('Everything could be read.', 'No cell and no record of these days was rejected.')
    : empty(
        'None of these days is published.',
        'Start create_datalake for them under Runs, or choose other days above.',
      );

function groups({ groups: found }, chosen, { choose }) {
  const most = Math.max(...found.map(({ count }) => count));
  const same = (group) =>
    group.table === chosen.table && group.column === chosen.column && group.reason === chosen.reason;
  const pick = (group) => {
    const { table: of, column, reason } = same(group) ? { table: '', column: '', reason: '' } : group;
    choose({ table: of, column, reason }, 'reason');
  };
  const bar = ({ count }) =>
    h(
      'div',
      { class: 'track' },
      h('div', { class: 'bar failed', style: `width:${((100 * count) / most).toFixed(1)}%` }),
    );
  const columns = [
    { name: 'Table', cell: (group) => group.table },
    { name: 'Column', cell: (group) => group.column || 'whole record' },
    {
      name: 'Reason',
      cell: (group) =>
        h(
          'button',
          {
            type: 'button',
            class: 'link',
            'aria-expanded': String(same(group)),
            'data-group': `${group.table}/${group.column}/${group.reason}`,
            'data-count': group.count,
            onclick: () => pick(group),
          },
          group.reason,
        ),
    },
    { name: 'Rejects', number: true, cell: ({ count }) => number(count) },
    { name: 'Different texts', number: true, cell: ({ texts: different }) => number(different) },
    { name: '', label: '', cell: bar },
  ];
  const total = found.reduce((sum, { count }) => sum + count, 0);
  return [
    h('p', {}, `${number(total)} rejects. Select a reason to see the texts.`),
    h('div', { class: 'low' }, table(columns, found, { id: 'rejects' })),
  ];
}

async function texts(root, chosen, { ask, choose, from, to, view }) {
  const page = Number(view.get('page', '0')) || 0;
  const { rows, more } = await ask('quality/rejects/rows', { from, to, ...chosen, page });
  const columns = [
    { name: 'Snapshot', cell: ([time]) => intdate(time) },
    { name: 'Ticker', cell: ([, , ticker]) => ticker },
    { name: 'Text', cell: ([, , , text]) => h('code', { class: 'raw' }, text) },
    { name: 'File', cell: ([, file]) => h('span', { class: 'mono' }, file) },
  ];
  const turn = (to_, id, label, able) =>
    h('button', { type: 'button', id, disabled: !able, onclick: () => choose({ page: to_ || '' }) }, label);
  replace(
    root,
    h('h3', {}, `${chosen.table}, ${chosen.column || 'whole records'}: ${chosen.reason}`),
    rows.length
      ? table(columns, rows, { id: 'reject-rows' })
      : empty('There are no such rejects on these days.', 'Choose a reason from the list.'),
    (page > 0 || more) &&
      h(
        'div',
        { class: 'pages' },
        turn(page - 1, 'rejects-back', 'Back', page > 0),
        h('span', { class: 'muted' }, `page ${number(page + 1)}`),
        turn(page + 1, 'rejects-on', 'On', more),
      ),
  );
}
