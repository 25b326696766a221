// Options: the chain of an underlying at a snapshot, and its volatility smile.

import { absentBox } from '../lib/absent.js';
import { get, latest } from '../lib/api.js';
import { chart, echarts } from '../lib/chart.js';
import { csv, download } from '../lib/csv.js';
import { empty, h, replace } from '../lib/dom.js';
import { bytes, day, intdate, number, price, snapshot } from '../lib/format.js';
import { suggesting } from '../lib/suggest.js';
import { chainOf, expiryTable, underlyingOf } from './options/chain.js';
import { smile, smileHeight } from './options/smile.js';

export const title = 'Options';

export const keys = [
  ['[', 'the snapshot before', (page) => page.step(-1)],
  [']', 'the snapshot after', (page) => page.step(1)],
  ['r', 'asks again', (page) => page.refresh()],
];

// It is loaded while the first question is asked.
echarts().catch(() => {
  /* The picture says so. */
});

export async function mount(root, view) {
  const page = new Page(root, view);
  await page.update();
  return page;
}

class Page {
  #view;
  #question = latest();
  #answer = null;
  #chain = null;
  #shown = [];
  #chart = null;
  #parts = {
    controls: h('form', { class: 'panel', 'aria-label': 'What is shown' }),
    message: h('div', { class: 'absent', id: 'absent' }),
    heading: h('h2', { id: 'heading' }),
    tables: h('div', { class: 'panel', id: 'chain', hidden: true }),
    figure: h('figure', { class: 'picture panel', hidden: true }),
    canvas: h('div', { class: 'chart', id: 'smile-chart' }),
    asked: h('details', { class: 'panel', id: 'asked' }),
  };

  constructor(root, view) {
    this.#view = view;
    const { controls, message, heading, tables, figure, canvas, asked } = this.#parts;
    controls.addEventListener('submit', (event) => {
      event.preventDefault();
      this.refresh();
    });
    replace(
      figure,
      h('h2', {}, 'Implied volatility'),
      canvas,
      h(
        'figcaption',
        {},
        'Implied by bid and ask at each strike, against the historical volatility of the underlying to the same maturity. ' +
          'The dashed line is the underlying, in the middle of bid and ask.',
      ),
    );
    replace(root, h('h1', { class: 'visually-hidden' }, title), controls, message, heading, tables, figure, asked);
    this.#drawControls();
  }

  /** Shows what the address says. */
  async update() {
    const [underlying, date, at] = ['underlying', 'day', 'at'].map((name) => this.#view.get(name));
    this.#answer = await get('options', { underlying, day: date, at }, this.#question());
    this.#chain = chainOf(this.#answer);
    const expiry = this.#view.get('expiry');
    const chosen = this.#chain.expiries.filter((one) => one.date === expiry);
    this.#shown = chosen.length ? chosen : this.#chain.expiries;
    this.#drawControls();
    this.#drawMessage();
    this.#drawHeading();
    this.#drawTables();
    await this.#drawSmile();
    this.#drawAsked();
  }

  /** Shows what has been published since. */
  renew() {
    return this.update();
  }

  /** Asks again, for what has been published since. */
  refresh() {
    this.#view.set({});
  }

  /** Goes to a neighbouring snapshot of the day. */
  step(by) {
    const { snapshots, at } = this.#answer;
    const next = by > 0 ? snapshots.find((one) => one > at) : snapshots.findLast((one) => one < at);
    if (next) this.#view.set({ at: next, day: '' });
  }

  dispose() {
    this.#question.cancel();
    this.#chart?.dispose();
  }

  #drawControls() {
    const focus = document.activeElement?.id;
    const { controls } = this.#parts;
    const underlying = this.#view.get('underlying') || this.#answer?.underlying || '';
    const field = suggesting({
      id: 'underlying',
      label: 'Underlying',
      placeholder: 'PETR4 …',
      clear: false,
      ask: suggestions,
      choose: (name) => this.#view.set({ underlying: name }),
    });
    field.input.value = underlying;
    field.input.addEventListener('focus', () => field.input.select());
    replace(
      controls,
      h(
        'div',
        { class: 'controls' },
        h('div', { class: 'field' }, h('span', {}, 'Underlying'), field.element),
        this.#days(),
        this.#snapshots(),
        this.#expiries(),
        h('button', { class: 'primary', id: 'refresh' }, 'Refresh'),
      ),
    );
    if (focus && controls.querySelector(`#${CSS.escape(focus)}`)) document.getElementById(focus).focus();
  }

  #days() {
    const { published = [], day: value } = this.#answer ?? {};
    const all = !value || published.includes(value) ? published : [...published, value].sort();
    const months = [...Map.groupBy(all, (date) => date.slice(0, 7))].reverse();
    const option = (date) =>
      h(
        'option',
        { value: date, selected: date === value },
        published.includes(date) ? day(date) : `${day(date)}: not published`,
      );
    return h(
      'label',
      {},
      'Day',
      h(
        'select',
        { id: 'day', onchange: (event) => this.#view.set({ day: event.target.value, at: '' }) },
        months.map(([month, dates]) => h('optgroup', { label: month }, dates.toReversed().map(option))),
      ),
    );
  }

  #snapshots() {
    const { snapshots = [], at = null } = this.#answer ?? {};
    const all = at === null || snapshots.includes(at) ? snapshots : [...snapshots, at].sort();
    const option = (one) =>
      h(
        'option',
        { value: one, selected: one === at },
        snapshots.includes(one) ? snapshot(one).time : `${snapshot(one).time}: missing`,
      );
    const arrow = (by, text, label) => {
      const there = snapshots.some((one) => (by > 0 ? one > at : one < at));
      return h(
        'button',
        { type: 'button', id: `step${by}`, 'aria-label': label, disabled: !there, onclick: () => this.step(by) },
        text,
      );
    };
    return h(
      'fieldset',
      { class: 'plain' },
      h('legend', {}, 'Snapshot'),
      h(
        'div',
        { class: 'chips' },
        arrow(-1, '‹', 'The snapshot before'),
        h(
          'select',
          {
            id: 'at',
            'aria-label': 'Snapshot',
            onchange: (event) => this.#view.set({ at: event.target.value, day: '' }),
          },
          all.map(option),
        ),
        arrow(1, '›', 'The snapshot after'),
      ),
    );
  }

  #expiries() {
    const expiries = this.#chain?.expiries ?? [];
    const chosen = this.#shown.length === 1 && this.#view.get('expiry') ? this.#shown[0].date : '';
    const option = ({ date, days }) =>
      h('option', { value: date, selected: date === chosen }, `${day(date)} · ${number(days)} days`);
    return h(
      'label',
      {},
      'Expiry',
      h(
        'select',
        { id: 'expiry', onchange: (event) => this.#view.set({ expiry: event.target.value }) },
        h('option', { value: '', selected: !chosen }, 'All'),
        expiries.map(option),
      ),
    );
  }

  #drawMessage() {
    const { message } = this.#parts;
    const { published, day: date, absent, snapshots, at, underlying } = this.#answer;
    const show = (one) => this.#view.set({ day: one, at: '' });
    const button = (text, onclick) => h('button', { type: 'button', onclick }, text);
    const { expiries } = this.#chain;
    const wanted = this.#view.get('expiry');
    const gone = wanted && expiries.length > 0 && !expiries.some((one) => one.date === wanted);
    if (!published.length) {
      replace(
        message,
        empty(
          'No day of options is published yet.',
          'Upload raw files, and start create_datalake under Runs; then press Refresh.',
        ),
      );
    } else if (!published.includes(date)) {
      replace(
        message,
        empty(
          `${day(date)} is not published.`,
          `${number(published.length)} days are, from ${day(published[0])} to ${day(published.at(-1))}.`,
        ),
        h(
          'p',
          {},
          published.slice(-5).map((one) => button(day(one), () => show(one))),
        ),
      );
    } else if (absent) {
      replace(
        message,
        absentBox(absent, { what: 'underlying', show, instead: (name) => this.#view.set({ underlying: name }) }),
      );
    } else if (!this.#answer.rows.length && snapshots.length) {
      replace(
        message,
        empty(
          `${underlying} has no options at ${intdate(at)}.`,
          `${number(snapshots.length)} snapshots of that day have some. The nearest:`,
        ),
        h(
          'p',
          {},
          nearest(snapshots, at).map((one) => button(snapshot(one).time, () => this.#view.set({ at: one, day: '' }))),
        ),
      );
    } else {
      replace(message, gone && empty(`No option of ${underlying} expires on ${day(wanted)}: all expiries are shown.`));
    }
  }

  #drawHeading() {
    const { heading } = this.#parts;
    const { underlying, at, rows } = this.#answer;
    heading.hidden = !rows.length;
    if (heading.hidden) return;
    const { bid, ask } = underlyingOf(this.#chain.expiries);
    replace(heading, `${underlying} at ${intdate(at)}: bid ${price(bid)}, ask ${price(ask)}`);
  }

  #drawTables() {
    const { tables } = this.#parts;
    const { columns, rows, underlying, at } = this.#answer;
    const { unplaced } = this.#chain;
    tables.hidden = !rows.length;
    const kept =
      this.#shown.length === this.#chain.expiries.length
        ? rows
        : rows.filter((row) => this.#shown.some(({ date }) => date === row[columns.indexOf('optn_expn_date')]));
    replace(
      tables,
      h(
        'p',
        { class: 'key' },
        h('span', { class: 'swatch in-money' }, 'in the money'),
        h('span', { class: 'swatch at-money' }, 'at the money'),
        h('span', { class: 'rich' }, 'bid above the Black-Scholes ask'),
        h('span', { class: 'cheap' }, 'ask below the Black-Scholes bid'),
        h(
          'button',
          {
            type: 'button',
            id: 'csv',
            onclick: () => download(`${underlying}_${at}.csv`, csv({ columns, rows: kept })),
          },
          'Download as CSV',
        ),
      ),
      unplaced.length > 0 &&
        h(
          'p',
          { class: 'warn', 'data-unplaced': unplaced.length },
          `${number(unplaced.length)} options are not in the chain, because strike, expiry or type is missing: ` +
            `${unplaced.map(({ ticker }) => ticker).join(', ')}.`,
        ),
      this.#shown.map(expiryTable),
    );
  }

  async #drawSmile() {
    const { figure, canvas } = this.#parts;
    figure.hidden = !this.#shown.length;
    if (figure.hidden) return;
    const place = () => ({
      columns: canvas.clientWidth > 860 && this.#shown.length > 1 ? 2 : 1,
      narrow: canvas.clientWidth < 560,
    });
    canvas.style.height = `${smileHeight(this.#shown, place())}px`;
    this.#chart ??= await chart(canvas, () => smile(this.#shown, underlyingOf(this.#chain.expiries), place()));
    this.#chart.draw();
    performance.mark('options-drawn');
  }

  #drawAsked() {
    const { asked } = this.#parts;
    const { statements, scanned_bytes: scanned } = this.#answer;
    asked.hidden = !statements.length;
    replace(
      asked,
      h('summary', {}, `Asked of Athena: ${bytes(scanned)} read`),
      statements.map((sql) => [
        h('pre', {}, sql),
        h('p', {}, h('a', { href: `/sql?${new URLSearchParams({ sql })}` }, 'Open under SQL')),
      ]),
    );
  }
}

/** The snapshots before and after a time. */
function nearest(snapshots, at) {
  return [snapshots.findLast((one) => one < at), snapshots.find((one) => one > at)].filter(Boolean);
}

async function suggestions(typed, signal) {
  const { names } = await get('underlyings', { typed }, signal);
  return names.map(({ name, weight }) => ({ name, note: `${number(weight)} options` }));
}
