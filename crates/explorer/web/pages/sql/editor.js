// The box for a statement: a plain text area, with a sheet behind it that can mark a place.

import { h, replace } from '../../lib/dom.js';

// Where Athena says that something is wrong: `line 2:8`, in characters from 1.
const PLACE = /\bline (\d+):(\d+)/;

/** The box; `run` is called for Ctrl Enter. */
export function editor(run) {
  const sheet = h('pre', { class: 'sheet', 'aria-hidden': 'true' });
  const box = h('textarea', {
    id: 'statement',
    rows: 9,
    spellcheck: 'false',
    autocapitalize: 'off',
    autocomplete: 'off',
    'aria-describedby': 'statement-hint',
    oninput: () => replace(sheet),
    onscroll: () => {
      sheet.scrollTop = box.scrollTop;
    },
    onkeydown: (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (!event.repeat) run();
    },
  });
  const element = h(
    'div',
    { class: 'editor' },
    h('label', { for: 'statement' }, 'Statement'),
    h('span', { id: 'statement-hint', class: 'hint' }, 'Ctrl Enter runs it'),
    h('div', { class: 'box' }, sheet, box),
  );

  // Typed as a person would, so that the browser can undo it.
  const type = (text) => {
    box.focus();
    if (!document.execCommand('insertText', false, text))
      box.setRangeText(text, box.selectionStart, box.selectionEnd, 'end');
    replace(sheet);
  };

  return {
    element,
    get value() {
      return box.value;
    },

    /** Shows a statement of the address. */
    set(text) {
      if (box.value !== text) box.value = text;
      replace(sheet);
    },

    /** Puts a statement in place of what is there. */
    put(text) {
      box.focus();
      box.select();
      type(text);
      box.setSelectionRange(0, 0);
      box.scrollTop = 0;
    },

    /** Puts a name at the caret. */
    insert(text) {
      const before = box.value.slice(0, box.selectionStart);
      type(/[\w"]$/.test(before) ? ` ${text}` : text);
    },

    /** Marks the place that a message names, and gives it; unmarks all for none. */
    mark(message) {
      const [, line, column] = PLACE.exec(message ?? '') ?? [];
      const range = line && rangeOf(box.value, Number(line), Number(column));
      if (!range) {
        replace(sheet);
        return null;
      }
      const [start, end] = range;
      replace(
        sheet,
        box.value.slice(0, start),
        h('mark', {}, box.value.slice(start, end)),
        `${box.value.slice(end)}\n`,
      );
      sheet.scrollTop = box.scrollTop;
      return { line: Number(line), column: Number(column), start, end };
    },

    /** Puts the caret there. */
    goTo({ start, end }) {
      box.focus();
      box.setSelectionRange(start, end);
    },
  };
}

/** From a place to the end of the word there, or the next character; none when the text has no such place. */
function rangeOf(text, line, column) {
  const lines = text.split('\n');
  if (line > lines.length) return null;
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const characters = Array.from(lines[line - 1]);
  if (column > characters.length + 1) return null;
  const start = before + characters.slice(0, column - 1).join('').length;
  const [word] = /^(?:[\p{L}\p{N}_$]+|"[^"\n]*"|.)?/u.exec(text.slice(start));
  // At the end there is nothing to mark: the last character stands for it.
  return word ? [start, start + word.length] : [Math.max(0, start - 1), start];
}
