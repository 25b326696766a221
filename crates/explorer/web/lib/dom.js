// Elements without a framework: a view is small, and drawn from its data each time.

/** An element. Attributes that are functions are listeners (`onclick`); null, undefined and false leave it out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An element of a drawing. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts these in place of what is in `element`. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** What is shown where there is nothing to show: why, and what to do. */
export const empty = (message, hint) =>
  h('div', { class: 'empty', role: 'status' }, h('p', {}, message), hint && h('p', { class: 'hint' }, hint));

/** What is shown of an error. */
export function failure(error, retry) {
  return h(
    'div',
    { class: 'failure', role: 'alert' },
    h('strong', {}, error.error ?? error.name ?? 'Error'),
    h('p', {}, error.message),
    error.hint && h('p', { class: 'hint' }, error.hint),
    retry && h('button', { type: 'button', onclick: retry }, 'Try again'),
  );
}

/** A table. `columns` are `{ name, number?, cell?(row) }`; a row is an object or a list. */
export function table(columns, rows, attributes = {}) {
  const cell = (column, row, at) => (column.cell ? column.cell(row) : Array.isArray(row) ? row[at] : row[column.name]);
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      attributes,
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          columns.map((column) =>
            h(
              'th',
              { scope: 'col', class: column.number && 'number', title: column.title },
              column.label ?? column.name,
            ),
          ),
        ),
      ),
      h(
        'tbody',
        {},
        rows.map((row) =>
          h(
            'tr',
            {},
            columns.map((column, at) => h('td', { class: column.number && 'number' }, cell(column, row, at) ?? '')),
          ),
        ),
      ),
    ),
  );
}
