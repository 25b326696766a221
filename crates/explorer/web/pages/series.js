// Time series: what instruments were worth and how much was traded, from snapshot to snapshot.

import { absentBox } from '../lib/absent.js';
import { get, latest } from '../lib/api.js';
import { chart, echarts, visible } from '../lib/chart.js';
import { csv, download } from '../lib/csv.js';
import { empty, h, replace } from '../lib/dom.js';
import { bytes, compact, day, intdate, number } from '../lib/format.js';
import { suggesting } from '../lib/suggest.js';
import { figures, figuresTable } from './series/figures.js';
import { isBreak, model as modelOf, places, written } from './series/model.js';
import { colourOf, layout, picture } from './series/picture.js';

export const title = 'Time series';

export const keys = [
  ['r', 'asks again', (page) => page.refresh()],
  ['+', 'zooms in', (page) => page.zoom(0.5)],
  ['-', 'zooms out', (page) => page.zoom(2)],
  ['0', 'shows all', (page) => page.zoom(Infinity)],
];

/** As many as the server draws at once. */
const MOST = 6;
const SCALES = [
  ['', 'Prices'],
  ['rebased', 'Rebased to 100'],
  ['spread', 'Spread'],
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
  #model = null;
  #chart = null;
  #window = [0, 0];
  #parts = {
    controls: h('form', { class: 'panel', 'aria-label': 'What is shown' }),
    absent: h('div', { class: 'absent', id: 'absent' }),
    figure: h('figure', { class: 'picture panel', hidden: true }),
    canvas: h('div', { class: 'chart', id: 'series-chart' }),
    notes: h('ul', { class: 'notes', id: 'notes' }),
    figures: h('details', { class: 'panel', id: 'figures' }, h('summary', {}, 'Figures')),
    asked: h('details', { class: 'panel', id: 'asked' }),
  };

  constructor(root, view) {
    this.#view = view;
    const { controls, absent, figure, canvas, notes, figures: details, asked } = this.#parts;
    controls.addEventListener('submit', (event) => {
      event.preventDefault();
      this.refresh();
    });
    details.append(h('div'));
    details.addEventListener('toggle', () => this.#drawFigures());
    replace(figure, canvas, notes);
    replace(root, h('h1', { class: 'visually-hidden' }, title), controls, absent, figure, details, asked);
    this.#drawControls([]);
  }

  /** Shows what the address says. */
  async update() {
    const question = this.#asked();
    this.#answer = await get('series', question, this.#question());
    this.#model = modelOf(this.#answer);
    this.#window = places(this.#model.axis, this.#view.get('zoom'));
    this.#drawControls(this.#answer.published);
    this.#drawAbsent();
    await this.#drawPicture();
    this.#drawNotes();
    this.#drawFigures();
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

  /** Makes the window that is shown `factor` times as wide, around its middle. */
  zoom(factor) {
    if (!this.#chart || !this.#model) return;
    const [first, last] = this.#window;
    const end = this.#model.axis.length - 1;
    const half = Math.max(2, ((last - first) / 2) * factor);
    const middle = (first + last) / 2;
    const startValue = Math.max(0, Math.round(middle - half));
    const endValue = Math.min(end, Math.round(middle + half));
    this.#chart.instance.dispatchAction({ type: 'dataZoom', startValue, endValue });
  }

  dispose() {
    this.#question.cancel();
    this.#chart?.dispose();
  }

  #asked() {
    const scale = this.#view.get('scale');
    return {
      ticker: this.#view.all('ticker'),
      from: this.#view.get('from'),
      to: this.#view.get('to'),
      ratio: scale === 'spread' ? this.#view.get('ratio', '1') : '',
    };
  }

  /** The instruments that are chosen; where none is, those that are shown. */
  #tickers() {
    const chosen = this.#view.all('ticker');
    return chosen.length ? chosen : (this.#answer?.instruments ?? []).map(({ ticker }) => ticker);
  }

  #scale() {
    const scale = this.#view.get('scale');
    return scale === 'spread' && !this.#model?.spread ? '' : scale;
  }

  #drawControls(published) {
    const focus = document.activeElement?.id;
    const tickers = this.#tickers();
    const { controls } = this.#parts;
    replace(
      controls,
      h(
        'div',
        { class: 'controls' },
        this.#instruments(tickers),
        this.#date('from', 'From', published, this.#answer?.days[0]?.date),
        this.#date('to', 'To', published, this.#answer?.days.at(-1)?.date),
        this.#scales(tickers),
        h('button', { class: 'primary', id: 'refresh' }, 'Refresh'),
      ),
      this.#view.get('scale') === 'spread' && this.#pair(tickers),
    );
    if (focus && controls.querySelector(`#${CSS.escape(focus)}`)) document.getElementById(focus).focus();
  }

  #instruments(tickers) {
    const chosen = this.#view.all('ticker').length > 0;
    const choose = (list) => this.#view.set({ ticker: list, zoom: this.#view.get('zoom') });
    const without = (ticker) => tickers.filter((other) => other !== ticker);
    const shown = (this.#answer?.instruments ?? []).map(({ ticker }) => ticker);
    const chip = (ticker) =>
      h(
        'li',
        { class: `chip${chosen ? '' : ' only'}`, 'data-ticker': ticker },
        shown.includes(ticker) && h('i', { style: `background: ${colourOf(shown.indexOf(ticker))}` }),
        ticker,
        chosen &&
          h(
            'button',
            { type: 'button', 'aria-label': `Remove ${ticker}`, onclick: () => choose(without(ticker)) },
            '×',
          ),
      );
    const field = suggesting({
      id: 'ticker',
      label: 'Add an instrument',
      placeholder: 'PETR4 …',
      ask: suggestions,
      choose: (name) => choose([...without(name), name]),
      back: () => chosen && choose(tickers.slice(0, -1)),
    });
    field.input.disabled = tickers.length >= MOST;
    const legend = chosen || !tickers.length ? 'Instruments' : 'Instrument: the one traded most on the last day';
    return h(
      'fieldset',
      { class: 'plain grow' },
      h('legend', {}, legend),
      h('ul', { class: 'chips' }, tickers.map(chip), h('li', {}, field.element)),
    );
  }

  /** Only published days can be chosen. */
  #date(name, label, published, shown) {
    const value = this.#view.get(name) || shown || '';
    const months = Map.groupBy(published.includes(value) || !value ? published : [...published, value].sort(), (date) =>
      date.slice(0, 7),
    );
    const option = (date) =>
      h(
        'option',
        { value: date, selected: date === value },
        published.includes(date) ? day(date) : `${day(date)}: not published`,
      );
    const groups = [...months]
      .reverse()
      .map(([month, dates]) => h('optgroup', { label: month }, dates.toReversed().map(option)));
    const changed = (event) => {
      const { days } = this.#answer;
      const range = {
        from: this.#view.get('from') || days[0]?.date,
        to: this.#view.get('to') || days.at(-1)?.date,
        [name]: event.target.value,
      };
      // A first day behind the last one means that day alone.
      if (range.from > range.to) range[name === 'from' ? 'to' : 'from'] = event.target.value;
      this.#view.set({ ...range, zoom: '' });
    };
    return h('label', {}, label, h('select', { id: name, onchange: changed }, groups));
  }

  #scales(tickers) {
    const current = this.#view.get('scale');
    const choice = ([value, label]) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'scale',
          id: `scale-${value || 'own'}`,
          value,
          checked: value === current,
          disabled: value === 'spread' && tickers.length < 2 && current !== value,
          onchange: () => this.#view.set({ scale: value, ratio: value === 'spread' ? this.#view.get('ratio') : '' }),
        }),
        label,
      );
    return h(
      'fieldset',
      { class: 'plain wide' },
      h('legend', {}, 'Compare'),
      h('div', { class: 'segments' }, SCALES.map(choice)),
    );
  }

  #pair([a, b, ...others]) {
    if (!b) return h('p', { class: 'warn' }, 'A spread needs two instruments: add another one.');
    const changed = (event) => {
      const ratio = Number(event.target.value.trim().replace(',', '.'));
      if (event.target.value.trim() && Number.isFinite(ratio)) this.#view.set({ ratio: String(ratio) });
      else event.target.value = number(Number(this.#view.get('ratio', '1')));
    };
    return h(
      'div',
      { class: 'pair' },
      h('strong', {}, `Spread = ${a} −`),
      h('input', {
        id: 'ratio',
        inputmode: 'decimal',
        'aria-label': 'Ratio',
        value: number(Number(this.#view.get('ratio', '1'))),
        onchange: changed,
      }),
      h('strong', {}, `× ${b}`),
      h(
        'button',
        { type: 'button', id: 'swap', onclick: () => this.#view.set({ ticker: [b, a, ...others] }) },
        '⇄ Swap',
      ),
      h('span', { class: 'muted' }, 'of their micro-prices at the same snapshot'),
    );
  }

  #drawAbsent() {
    const { absent } = this.#parts;
    const { published, days, instruments } = this.#answer;
    if (!published.length) {
      replace(
        absent,
        empty(
          'No day of quotes is published yet.',
          'Upload raw files, and start create_datalake under Runs; then press Refresh.',
        ),
      );
    } else if (!days.length) {
      replace(
        absent,
        empty(
          `No day is published from ${day(this.#view.get('from'))} to ${day(this.#view.get('to') || this.#view.get('from'))}.`,
          `${number(published.length)} days are, from ${day(published[0])} to ${day(published.at(-1))}. The nearest:`,
        ),
        this.#nearestDays(),
      );
    } else {
      const nothing = !instruments.length && !this.#answer.absent.length;
      replace(
        absent,
        this.#answer.absent.map((one) => this.#unknown(one)),
        nothing && empty('These days have no quotes.'),
      );
    }
  }

  #nearestDays() {
    const wanted = this.#view.get('from') || this.#view.get('to');
    const { published } = this.#answer;
    const behind = published.findIndex((date) => date >= wanted);
    const near = behind < 0 ? published.slice(-2) : published.slice(Math.max(0, behind - 1), behind + 1);
    return h(
      'p',
      {},
      near.map((date) =>
        h('button', { type: 'button', onclick: () => this.#view.set({ from: date, to: date, zoom: '' }) }, day(date)),
      ),
    );
  }

  #unknown(one) {
    return absentBox(one, {
      what: 'instrument',
      show: (from, to) => this.#view.set({ from, to, zoom: '' }),
      instead: (name) =>
        this.#view.set({ ticker: this.#tickers().map((other) => (other === one.name ? name : other)) }),
    });
  }

  async #drawPicture() {
    const { figure, canvas } = this.#parts;
    figure.hidden = !this.#model.instruments.length;
    if (figure.hidden) return;
    const { panels, height } = layout(this.#model, this.#scale(), figure.clientWidth < 600);
    canvas.style.height = `${height}px`;
    this.#panels = panels;
    if (!this.#chart) {
      this.#chart = await chart(canvas, () =>
        picture(this.#model, this.#panels, this.#scale(), {
          window: this.#window,
          visible: () => visible(this.#chart.instance),
          width: () => this.#chart.instance.getWidth(),
        }),
      );
      this.#chart.instance.on('datazoom', () => this.#zoomed());
    }
    this.#chart.draw();
    performance.mark('series-drawn');
  }

  #panels = [];
  #settled = null;

  /** Keeps the window in the address, once it no longer moves. */
  #zoomed() {
    const [{ startValue, endValue }] = this.#chart.instance.getOption().dataZoom;
    this.#window = [startValue, endValue];
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => {
      this.#view.set({ zoom: written(this.#model.axis, this.#window) }, { replace: true, update: false });
      this.#drawFigures();
    }, 150);
  }

  #drawNotes() {
    const { instruments, base, axis } = this.#model;
    const slots = axis.filter((name) => !isBreak(name)).length;
    const missing = this.#answer.days.reduce((sum, { missing: some }) => sum + some, 0);
    const scale = this.#scale();
    replace(
      this.#parts.notes,
      instruments.length > 0 && [
        missing > 0 &&
          h(
            'li',
            { 'data-missing': missing },
            `${number(missing)} of ${number(slots)} snapshots are missing: the lines have gaps there.`,
          ),
        scale !== 'spread' &&
          h(
            'li',
            {},
            'Below: what was traded since the snapshot before; the pale first bar of a day is all that was traded until then.',
          ),
        scale === 'rebased' &&
          h(
            'li',
            {},
            base < 0
              ? 'There is no snapshot at which all of them have a micro-price, so nothing can be set to 100.'
              : `100 is the micro-price of ${intdate(axis[base])}.`,
          ),
        instruments.map((instrument) => this.#remarks(instrument)),
      ],
    );
  }

  #remarks({ ticker, values, falls, contradictions }) {
    const { axis } = this.#model;
    const times = (list) => `${list.slice(0, 5).map(intdate).join(', ')}${list.length > 5 ? ' …' : ''}`;
    const there = (at) => Object.values(values).some((list) => list[at] !== null);
    const without = values.micro.filter((micro, at) => micro === null && there(at)).length;
    return [
      without > 0 &&
        h('li', {}, `${ticker}: ${number(without)} snapshots have no micro-price, because bid or ask is missing.`),
      falls.length > 0 &&
        h(
          'li',
          { class: 'warn' },
          `${ticker}: the total of the day falls ${number(falls.length)} times (${times(falls.map((at) => axis[at]))}). ` +
            'No bar is drawn there, and the next one counts from the lower total.',
        ),
      contradictions.length > 0 &&
        h(
          'li',
          { class: 'warn' },
          `${ticker}: ${number(contradictions.length)} snapshots have rows that contradict each other (${times(contradictions)}). ` +
            'Nothing is drawn there.',
        ),
    ];
  }

  #drawFigures() {
    const { figures: details } = this.#parts;
    details.hidden = !this.#model?.instruments.length;
    if (details.hidden || !details.open) return;
    const shown = figures(this.#model, this.#scale(), this.#window);
    const name = `${this.#model.instruments.map(({ ticker }) => ticker).join('_')}_${shown.rows[0]?.[0]}-${shown.rows.at(-1)?.[0]}.csv`;
    replace(
      details.lastElementChild,
      h(
        'p',
        {},
        h('button', { type: 'button', id: 'csv', onclick: () => download(name, csv(shown)) }, 'Download as CSV'),
        h('span', { class: 'muted' }, ` ${number(shown.rows.length)} rows, those of the times shown above`),
      ),
      figuresTable(shown),
    );
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

async function suggestions(typed, signal) {
  const { names } = await get('instruments', { typed }, signal);
  return names.map(({ name, weight }) => ({ name, note: weight === null ? null : `R$ ${compact(weight)}` }));
}
