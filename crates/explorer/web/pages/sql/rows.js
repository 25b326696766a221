// The rows of a page. A cell is the text that Athena gives, or null; numbers are shown as the reader writes them, and
// pointed at or copied as they are.

import { h, table } from '../../lib/dom.js';
import { locale } from '../../lib/format.js';

// Dates in the shape of numbers, which are not grouped.
const DATES = new Set(['intdate', 'year', 'month', 'day']);

/** A table of these rows. */
export function rowsTable(columns, rows) {
  const shown = columns.map((column, at) => {
    const format = formatter(column);
    return {
      number: column.number,
      label: [column.name, h('small', {}, column.type)],
      cell: (row) => cell(row[at], format),
    };
  });
  const element = table(shown, rows, { id: 'rows', oncopy: copy });
  element.classList.add('rows');
  element.tabIndex = 0;
  element.setAttribute('role', 'region');
  element.setAttribute('aria-label', 'Rows');
  return element;
}

function cell(text, format) {
  if (text === null) return h('span', { class: 'nothing', 'data-null': true, title: 'no value' }, 'NULL');
  if (text === '')
    return h('span', { class: 'nothing', 'data-exact': '', title: 'a text without characters' }, 'empty');
  const shown = format(text);
  return h('span', { 'data-exact': text, title: shown === text && text.length < 60 ? null : text }, shown);
}

/** How the cells of a column are shown. */
function formatter(column) {
  if (!column.number || DATES.has(column.name.toLowerCase())) return (text) => text;
  // These take the digits as they stand in a text, also those that no number of JavaScript has.
  const plain = new Intl.NumberFormat(locale(), { maximumFractionDigits: 6 });
  const small = new Intl.NumberFormat(locale(), { maximumSignificantDigits: 6 });
  const scientific = new Intl.NumberFormat(locale(), { notation: 'scientific', maximumSignificantDigits: 6 });
  return (text) => {
    const size = Math.abs(Number(text));
    if (!Number.isFinite(size)) return text;
    if (size === 0 || size >= 1) return (/e/i.test(text) && size >= 1e15 ? scientific : plain).format(text);
    return (size < 1e-6 ? scientific : small).format(text);
  };
}

/** Copies cells as they are, in the way that spreadsheets paste: a tab between cells, a line a row. */
function copy(event) {
  const selection = document.getSelection();
  const rows = [...event.currentTarget.querySelectorAll('tbody tr')].filter((row) => selection.containsNode(row, true));
  const lines = rows.map((row) => [...row.cells].filter((one) => selection.containsNode(one, true)).map(exact));
  // A part of one text is copied as the part that it is.
  const only = lines.length === 1 && lines[0].length === 1;
  if (lines.length === 0 || (only && selection.toString().trim() !== shownIn(rows[0], selection))) return;
  event.clipboardData.setData('text/plain', lines.map((line) => line.join('\t')).join('\n'));
  event.preventDefault();
}

const exact = (cell) => cell.querySelector('[data-exact]')?.dataset.exact ?? '';

const shownIn = (row, selection) => [...row.cells].find((one) => selection.containsNode(one, true)).textContent;
