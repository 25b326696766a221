// What there is to ask about: the tables, their columns, and their days.

import { h } from '../../lib/dom.js';
import { day, number } from '../../lib/format.js';
import { onDay } from './examples.js';

/** The tables of the lake; `insert` is called with what is clicked on. */
export function tablesPane(lake, insert) {
  return h(
    'aside',
    { class: 'panel tables', 'aria-label': 'Tables and columns' },
    h('p', { class: 'hint' }, 'Click on a name to put it into the statement.'),
    lake.tables.map((table, at) => tablePart(table, at === 0, insert)),
  );
}

function tablePart(table, open, insert) {
  return h(
    'details',
    { open, 'data-table': table.name },
    h(
      'summary',
      {},
      h('strong', { class: 'mono' }, table.name),
      ' ',
      h('span', { class: 'muted' }, daysOf(table.days)),
    ),
    h(
      'ul',
      {},
      h('li', {}, name(table.name, 'the table', insert), h('span', { class: 'type' }, 'table')),
      table.columns.map((column) => columnPart(column, insert)),
    ),
    table.days.length > 0 &&
      h(
        'details',
        { class: 'days' },
        h('summary', {}, 'Published days'),
        h(
          'ul',
          {},
          table.days
            .toReversed()
            .map((iso) =>
              h(
                'li',
                {},
                h('button', { type: 'button', title: onDay(iso), onclick: () => insert(onDay(iso)) }, day(iso)),
              ),
            ),
        ),
      ),
  );
}

function daysOf(days) {
  if (days.length === 0) return 'nothing published yet';
  if (days.length === 1) return day(days[0]);
  return `${number(days.length)} days, ${day(days[0])} to ${day(days.at(-1))}`;
}

function columnPart(column, insert) {
  return h(
    'li',
    { 'data-column': column.name },
    name(column.name, `${column.type}: ${column.meaning}`, insert),
    h('span', { class: 'type' }, column.type),
    column.partition &&
      h('span', { class: 'key', title: 'A condition on it decides which days are read' }, 'partition'),
    h('span', { class: 'meaning' }, column.meaning),
  );
}

const name = (text, meaning, insert) =>
  h(
    'button',
    { type: 'button', class: 'mono', 'aria-label': `${text}, ${meaning}`, onclick: () => insert(text) },
    text,
  );
