// A calendar of the days, each with its snapshots by feed.

import { h } from '../../lib/dom.js';
import { day as dayText, locale, number } from '../../lib/format.js';

const FEEDS = ['quotes', 'options'];

/** How a day of a feed stands, by sign and colour: what is worst of it. */
export function standing({ expected, present, missing, quarantined }) {
  if (quarantined > 0) return { name: 'refused', sign: '✗' };
  if (expected > 0 && present === 0) return { name: 'gap', sign: '○' };
  if (missing > 0) return { name: 'partial', sign: '◐' };
  return { name: 'whole', sign: '●' };
}

const MEANINGS = [
  ['whole', '●', 'all snapshots'],
  ['partial', '◐', 'some missing'],
  ['gap', '○', 'none'],
  ['refused', '✗', 'some refused'],
];

/** The calendar of `data`, the answer to quality/calendar. */
export function calendar(data, { day, choose }) {
  const field = (id, label, value) =>
    h(
      'label',
      {},
      label,
      h('input', { id, type: 'date', value: value ?? '', min: data.known?.[0], max: data.known?.[1] }),
    );
  const [from, to] = [field('quality-from', 'From', data.from), field('quality-to', 'To', data.to)];
  const show = (event) => {
    event.preventDefault();
    choose({ from: from.querySelector('input').value, to: to.querySelector('input').value }, 'from');
  };
  const nameless = () => choose({ day: day === 'none' ? '' : 'none' }, 'day');
  return h(
    'section',
    { class: 'panel', 'aria-label': 'Calendar' },
    h('h2', {}, 'Snapshots by day'),
    h(
      'form',
      { class: 'controls', onsubmit: show },
      from,
      to,
      h('button', { type: 'submit', id: 'quality-show' }, 'Show'),
      data.known &&
        h(
          'button',
          { type: 'button', onclick: () => choose({ from: data.known[0], to: data.known[1] }, 'from') },
          'All days',
        ),
      data.nameless > 0 &&
        h(
          'button',
          { type: 'button', id: 'nameless', 'aria-pressed': String(day === 'none'), onclick: nameless },
          `✗ ${number(data.nameless)} refused without a day`,
        ),
    ),
    h(
      'p',
      { class: 'legend muted' },
      MEANINGS.map(([name, sign, text]) => h('span', { class: `mark ${name}` }, `${sign} ${text}`)),
      h('span', {}, 'q quotes, o options: present / expected'),
      h('span', {}, '▣ published'),
    ),
    totals(data.days),
    h(
      'div',
      { class: 'months' },
      months(data.days).map(([month, days]) => monthTable(month, days, day, choose)),
    ),
  );
}

function totals(days) {
  const sum = (feed, what) => days.reduce((total, one) => total + one[feed][what], 0);
  return h(
    'p',
    { id: 'totals', 'data-days': days.length },
    FEEDS.map((feed) =>
      h(
        'span',
        {
          class: 'total',
          'data-feed': feed,
          'data-present': sum(feed, 'present'),
          'data-missing': sum(feed, 'missing'),
          'data-extra': sum(feed, 'extra'),
          'data-quarantined': sum(feed, 'quarantined'),
        },
        h('strong', {}, feed),
        ` ${number(sum(feed, 'present'))} of ${number(sum(feed, 'expected'))} snapshots`,
        `, ${number(sum(feed, 'missing'))} missing, ${number(sum(feed, 'quarantined'))} refused`,
        sum(feed, 'extra') > 0 && `, ${number(sum(feed, 'extra'))} beside the session`,
      ),
    ),
  );
}

function months(days) {
  const found = new Map();
  for (const one of days) {
    const month = one.date.slice(0, 7);
    if (!found.has(month)) found.set(month, []);
    found.get(month).push(one);
  }
  return [...found];
}

/** 0 for Monday. */
const weekday = (date) => (new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7;

const name = (date, options) =>
  new Intl.DateTimeFormat(locale(), { timeZone: 'UTC', ...options }).format(new Date(`${date}T00:00:00Z`));

function monthTable(month, days, chosen, choose) {
  // Saturday and Sunday stand there only when something is on them.
  const width = Math.max(5, ...days.map(({ date }) => weekday(date) + 1));
  const byDate = new Map(days.map((one) => [one.date, one]));
  const last = new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).getUTCDate();
  const dates = Array.from({ length: last }, (_, at) => `${month}-${String(at + 1).padStart(2, '0')}`).filter(
    (date) => weekday(date) < width,
  );
  const before = Array.from({ length: weekday(dates[0]) }, () => h('td', {}));
  const cells = [...before, ...dates.map((date) => dayCell(date, byDate.get(date), chosen, choose))];
  const weeks = Array.from({ length: Math.ceil(cells.length / width) }, (_, week) =>
    h('tr', {}, cells.slice(week * width, (week + 1) * width)),
  );
  // 2024-01-01 was a Monday.
  const head = Array.from({ length: width }, (_, at) =>
    h('th', { scope: 'col' }, name(`2024-01-0${at + 1}`, { weekday: 'short' })),
  );
  return h(
    'table',
    { class: 'month' },
    h('caption', {}, name(`${month}-01`, { month: 'long', year: 'numeric' })),
    h('thead', {}, h('tr', {}, head)),
    h('tbody', {}, weeks),
  );
}

function dayCell(date, one, chosen, choose) {
  const number = String(Number(date.slice(8)));
  if (!one) return h('td', { class: 'closed' }, h('span', { class: 'date muted' }, number));
  const words = FEEDS.map((feed) => {
    const { present, expected, quarantined } = one[feed];
    return `${feed} ${present} of ${expected}${quarantined ? `, ${quarantined} refused` : ''}`;
  });
  const told = `${dayText(date)}: ${words.join('; ')}; ${one.published.length ? `published: ${one.published.join(', ')}` : 'not published'}`;
  return h(
    'td',
    {},
    h(
      'button',
      {
        type: 'button',
        class: 'day',
        'data-date': date,
        'aria-pressed': String(chosen === date),
        'aria-label': told,
        title: told,
        onclick: () => choose({ day: chosen === date ? '' : date }, 'day'),
      },
      h('span', { class: 'date' }, number, one.published.length > 0 && h('span', { class: 'published' }, '▣')),
      FEEDS.map((feed) => feedLine(feed, one[feed])),
    ),
  );
}

function feedLine(feed, count) {
  const { name: standingName, sign } = standing(count);
  return h(
    'span',
    {
      class: `mark ${standingName}`,
      'data-feed': feed,
      'data-standing': standingName,
      'data-present': count.present,
      'data-missing': count.missing,
      'data-extra': count.extra,
      'data-quarantined': count.quarantined,
    },
    h('span', { class: 'sign' }, sign),
    `${feed[0]} ${count.present}/${count.expected}`,
  );
}
