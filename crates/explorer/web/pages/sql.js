// SQL: a statement of one's own, its rows page by page, and what it read.
//
// Nothing but the page of rows that is seen is kept here: the address has the statement, the id of Athena's execution, and
// where in its rows the page begins, so that going back, or opening the address elsewhere, runs nothing and costs nothing.

import { Cancelled, get, latest, post } from '../lib/api.js';
import { empty, failure, h, replace } from '../lib/dom.js';
import { bytes, duration, number } from '../lib/format.js';
import { editor } from './sql/editor.js';
import { examples } from './sql/examples.js';
import { remember, remembered } from './sql/earlier.js';
import { menu } from './sql/menu.js';
import { rowsTable } from './sql/rows.js';
import { tablesPane } from './sql/tables.js';

export const title = 'SQL';

export const keys = [
  ['Ctrl Enter', 'runs the statement (⌘ Enter on a Mac)'],
  ['n', 'the next page of rows', (mounted) => mounted.press('next')],
  ['p', 'the page of rows before', (mounted) => mounted.press('previous')],
];

// How many records a page is made of; the names of the columns are the first one's first.
const PAGE = 200;

const PRICE = 'USD 5 per TB scanned, and at least 10 MB a query. On a laptop it costs nothing.';

// What stood in the box when the view was left, and the statement of the address then.
let draft = null;

// A longer statement does not go into the address: servers refuse such addresses.
const LONGEST = 20_000;

export async function mount(root, view) {
  const lake = await get('lake');
  return new Sql(root, view, lake).start();
}

class Sql {
  #view;
  #lake;
  #next = latest();
  #counting = latest();
  // The signal of the question that is being waited for, or was last.
  #signal = null;
  // What the next update is to run, if it is to run anything.
  #asked = null;
  // The result that is shown: what the server said of it, how many rows it has, and the tokens of its pages as far as known.
  #shown = null;
  #sql = '';
  #ticking = null;

  constructor(root, view, lake) {
    this.#view = view;
    this.#lake = lake;
    this.editor = editor(() => this.run());
    this.runButton = h(
      'button',
      { id: 'run', class: 'primary', type: 'button', title: 'Ctrl Enter', onclick: () => this.run() },
      'Run',
    );
    this.cancelButton = h(
      'button',
      { id: 'cancel', type: 'button', disabled: true, onclick: () => this.cancel() },
      'Cancel',
    );
    this.status = h('p', { id: 'status', class: 'status', role: 'status' });
    this.clock = h('span', { class: 'muted', 'aria-hidden': 'true' });
    this.outcome = h('div', { id: 'outcome' });
    const choose = (statement) => this.editor.put(statement);
    // The rows come before the tables, which have many buttons, for those who go by Tab.
    replace(
      root,
      h('h1', {}, 'SQL'),
      h(
        'div',
        { class: 'desk' },
        h(
          'div',
          { class: 'panel ask' },
          this.editor.element,
          h(
            'div',
            { class: 'controls' },
            this.runButton,
            this.cancelButton,
            menu('examples', 'Examples', () => examples(lake), choose),
            menu(
              'earlier',
              'Earlier statements',
              remembered,
              choose,
              'Statements that you run are listed here, in this browser only.',
            ),
          ),
        ),
        h('div', { class: 'answer' }, h('div', { class: 'progress' }, this.status, this.clock), this.outcome),
        tablesPane(lake, (text) => this.editor.insert(text)),
      ),
    );
  }

  async start() {
    const sql = this.#view.get('sql');
    await this.update();
    if (draft && (!sql || sql === draft.sql)) this.editor.set(draft.text);
    return this;
  }

  /** Runs what is in the box; `whole` also where it reads all days of a table. */
  run(whole = false) {
    const statement = this.editor.value;
    this.#asked = { statement, whole };
    this.#view.set({ sql: statement.length > LONGEST ? '' : statement, query: '', page: '', at: '' });
  }

  cancel() {
    this.#next.cancel();
  }

  /** Presses a button of the pager, if there is one to be pressed. */
  press(id) {
    const button = this.outcome.querySelector(`#${id}`);
    if (button && !button.disabled) button.click();
  }

  dispose() {
    draft = { sql: this.#sql, text: this.editor.value };
    this.#forget();
  }

  /** Waits for no answer any more. */
  #forget() {
    this.#signal = null;
    this.#next.cancel();
    this.#counting.cancel();
    this.#busy(null);
  }

  /** Shows what the address says: runs what was asked for, or fetches the rows of what was run before. */
  async update() {
    const asked = this.#asked;
    this.#asked = null;
    this.#sql = this.#view.get('sql');
    if (asked) {
      await this.#guarded(
        'Running',
        (signal) => this.#run(asked, signal),
        () => asked.statement,
      );
      return;
    }
    const [sql, query, at] = [this.#sql, this.#view.get('query'), this.#view.get('at')];
    if (sql || !this.editor.value) this.editor.set(sql || examples(this.#lake)[0].statement);
    if (!query) {
      this.#forget();
      this.#clear(this.#hasDays() ? 'Not run yet: press Run, or Ctrl Enter in the box.' : null);
    } else {
      await this.#guarded(
        'Fetching',
        (signal) => this.#open(query, sql, at, signal),
        () => sql,
      );
    }
  }

  #hasDays() {
    return this.#lake.tables.some((table) => table.days.length > 0);
  }

  #clear(message) {
    this.#shown = null;
    replace(this.status, message ?? '');
    if (message === null) {
      replace(
        this.outcome,
        empty(
          'Nothing has been published yet, so there is nothing to ask about.',
          'Upload raw files (pregao upload DIR), and start create_datalake under Runs.',
        ),
      );
    } else {
      replace(this.outcome);
    }
  }

  async #run({ statement, whole }, signal) {
    const result = await post('sql/run', { statement, whole }, signal);
    remember(statement);
    this.#view.set({ query: result.query }, { replace: true, update: false });
    this.#show(result);
  }

  /** Shows the rows of a query that was run before, from a page of them on. */
  async #open(query, sql, at, signal) {
    if (this.#shown?.query !== query) {
      const result = await get('sql/result', { query }, signal);
      // An address may be written by anybody: rows are not shown under a statement that they are not the answer to.
      if (sql && result.statement !== sql) {
        this.#clear('The rows of this address belong to another statement. Run this one to see its own.');
        return;
      }
      if (!sql) this.editor.set(result.statement);
      this.#show(result);
    }
    const page = at ? await get('sql/rows', { query, token: at }, signal) : this.#shown.first;
    this.#showPage(page, at ? Math.max(2, Math.trunc(Number(this.#view.get('page'))) || 2) : 1, at);
  }

  #show(result) {
    const { columns, rows, next, query } = result;
    this.#shown = {
      ...result,
      first: { columns, rows, next },
      tokens: [''],
      count: next ? null : { rows: rows.length, more: false },
    };
    replace(
      this.status,
      h('span', { id: 'took', title: 'as Athena measured it' }, duration(result.took_ms)),
      ' · ',
      h('span', { id: 'scanned', 'data-bytes': result.scanned_bytes }, `${bytes(result.scanned_bytes)} scanned`),
      ' · ',
      h(
        'span',
        { id: 'cost', 'data-usd': result.cost, title: PRICE },
        result.cost ? `USD ${number(result.cost, 8)} on AWS, at the list price of us-east-1` : 'free on AWS',
      ),
    );
    this.#showPage(this.#shown.first, 1, '');
    if (next) this.#countRows(query);
  }

  async #countRows(query) {
    try {
      const count = await get('sql/count', { query }, this.#counting());
      if (this.#shown?.query !== query) return;
      this.#shown.count = count;
      replace(this.outcome.querySelector('#range') ?? h('span'), this.#range());
    } catch {
      // The rows are there without it.
    }
  }

  #showPage(page, at, token) {
    const shown = this.#shown;
    shown.page = { number: at, rows: page.rows.length };
    shown.tokens[at - 1] = token;
    if (page.next) shown.tokens[at] = page.next;
    if (shown.columns.length === 0) {
      replace(this.outcome, empty('Done. This statement gives no rows.'));
      return;
    }
    const focused = this.outcome.contains(document.activeElement) ? document.activeElement.id : null;
    replace(
      this.outcome,
      h(
        'div',
        { class: 'panel' },
        h('div', { class: 'bar' }, this.#pager(page), this.#downloads()),
        page.rows.length
          ? rowsTable(page.columns, page.rows)
          : [
              rowsTable(page.columns, []),
              empty('No rows.', 'The statement is right, but nothing meets its conditions.'),
            ],
      ),
    );
    // The buttons are new: whoever pressed one by keyboard stays where they are.
    if (focused) this.outcome.querySelector(`#${CSS.escape(focused)}:enabled, .rows`)?.focus();
  }

  #firstRow() {
    const { number: at } = this.#shown.page;
    // The names of the columns took a record of the first page, if that page was cut off at all.
    const first = this.#shown.first;
    return at === 1 ? 1 : (at - 2) * PAGE + first.rows.length + 1;
  }

  #range() {
    const { page, count } = this.#shown;
    if (page.rows === 0) return '';
    const first = this.#firstRow();
    const all = count === null ? '' : count.more ? ` of more than ${number(count.rows)}` : ` of ${number(count.rows)}`;
    return `Rows ${number(first)} to ${number(first + page.rows - 1)}${all}`;
  }

  #pager(page) {
    const {
      tokens,
      page: { number: at },
    } = this.#shown;
    const to = (target, token) => () => this.#view.set({ page: target === 1 ? '' : target, at: token });
    const button = (id, label, target, token) =>
      h(
        'button',
        { id, type: 'button', disabled: token === undefined || token === null, onclick: to(target, token) },
        label,
      );
    return h(
      'nav',
      { class: 'pager', 'aria-label': 'Pages of rows' },
      button('first', 'First', 1, at > 1 ? '' : undefined),
      button('previous', 'Previous', at - 1, at > 1 ? tokens[at - 2] : undefined),
      button('next', 'Next', at + 1, page.next),
      h('span', { id: 'range', 'aria-live': 'polite' }, this.#range()),
    );
  }

  #downloads() {
    const { query, columns } = this.#shown;
    const link = (format, label) =>
      h('a', { id: format, download: true, href: `/api/sql/${format}?query=${encodeURIComponent(query)}` }, label);
    return (
      columns.length > 0 &&
      h('span', { class: 'downloads' }, 'All rows as ', link('csv', 'CSV'), ' or ', link('parquet', 'Parquet'))
    );
  }

  /**
   * Does `work` with a signal that the next question, Cancel, or leaving the view sets; shows what goes wrong with
   * `statement()`.
   */
  async #guarded(doing, work, statement) {
    const signal = this.#next();
    this.#signal = signal;
    this.#counting.cancel();
    this.editor.mark(null);
    this.#busy(doing);
    try {
      await work(signal);
    } catch (error) {
      // A newer question has taken the place of this one, or the view was left.
      if (this.#signal !== signal) return;
      if (error instanceof Cancelled) replace(this.status, 'Cancelled.');
      else this.#failed(error, statement());
    } finally {
      if (this.#signal === signal) this.#busy(null);
    }
  }

  #failed(error, statement) {
    this.#shown = null;
    replace(this.status);
    if (error.error === 'Unconfirmed') {
      replace(
        this.outcome,
        h(
          'div',
          { id: 'whole', class: 'failure caution', role: 'alert' },
          h('p', {}, error.message),
          h('p', { class: 'hint' }, error.hint),
          h('button', { id: 'anyway', type: 'button', onclick: () => this.run(true) }, 'Run all the same'),
        ),
      );
      return;
    }
    const place = this.editor.value === statement ? this.editor.mark(error.message) : null;
    const shown = failure(error, null);
    if (place) {
      shown.append(
        h(
          'button',
          { id: 'place', type: 'button', onclick: () => this.editor.goTo(place) },
          `Go to line ${place.line}, column ${place.column}`,
        ),
      );
    }
    replace(this.outcome, shown);
  }

  #busy(doing) {
    clearInterval(this.#ticking);
    replace(this.clock);
    // A button that is disabled loses the focus to nowhere.
    if (doing === null && document.activeElement === this.cancelButton) this.runButton.focus();
    this.cancelButton.disabled = doing === null;
    this.outcome.setAttribute('aria-busy', String(doing !== null));
    if (doing === null) return;
    replace(this.status, `${doing}…`);
    if (doing === 'Running') replace(this.outcome);
    const since = performance.now();
    this.#ticking = setInterval(() => replace(this.clock, duration(performance.now() - since)), 200);
  }
}
