// The days: what each of them is, and what to do next.

import { get } from '../lib/api.js';
import { empty, h, replace } from '../lib/dom.js';
import { day as dayText, duration, instant, number } from '../lib/format.js';
import { years } from './days/calendar.js';
import { command, states, why } from './days/words.js';

export const title = 'Days';

/** Rows that are drawn at first, and each time that more are wanted. */
const ROWS = 100;

export async function mount(root, view) {
  let answer = null;
  let shown = ROWS;

  async function load() {
    answer = await get('days', { from: view.get('from'), to: view.get('to') });
    draw();
  }

  const asked = () => [view.get('from'), view.get('to')].join();
  let last = asked();

  /** Asks only for other days; what is chosen among them is here already. */
  async function update() {
    shown = ROWS;
    if (asked() === last && answer) draw();
    else {
      last = asked();
      await load();
    }
  }

  function chosen() {
    const [state, only] = [view.get('state'), view.get('day')];
    return answer.days.filter(
      (one) => (!only || one.day === only) && (!state || (state === 'attention' ? one.attention : one.state === state)),
    );
  }

  function draw() {
    if (!answer.known) {
      replace(
        root,
        empty(
          'Nothing has been uploaded yet.',
          `Bring raw files in with: ${answer.program} upload DIR. For something to try it with, before that: pregao sample --days 5 --out DIR`,
        ),
      );
      return;
    }
    replace(root, overview(), list());
  }

  function overview() {
    const field = (id, label, value) => h('label', {}, label, h('input', { id, type: 'date', value: value ?? '' }));
    const [from, to] = [field('days-from', 'From', answer.from), field('days-to', 'To', answer.to)];
    const show = (event) => {
      event.preventDefault();
      view.set({ from: from.querySelector('input').value, to: to.querySelector('input').value, day: '' });
    };
    return h(
      'section',
      { class: 'panel', 'aria-label': 'Calendar' },
      h('h2', {}, 'Days'),
      h(
        'form',
        { class: 'controls', onsubmit: show },
        from,
        to,
        h('button', { type: 'submit', id: 'days-show' }, 'Show'),
        h('button', { type: 'button', onclick: () => view.set({ from: '', to: '', day: '' }) }, 'All days'),
        h('button', { type: 'button', id: 'days-again', onclick: load }, 'Look again'),
      ),
      chips(),
      next(),
      years(answer.days, { chosen: view.get('day'), choose: (day) => view.set({ day }) }),
    );
  }

  /** How many days are what; each chooses these. */
  function chips() {
    const count = (state) => answer.days.filter((one) => one.state === state).length;
    const attention = answer.days.filter((one) => one.attention).length;
    const chip = (state, sign, text, days) =>
      h(
        'button',
        {
          type: 'button',
          class: `chip ${state}`,
          'data-chip': state,
          'data-count': days,
          'aria-pressed': String(view.get('state') === state),
          onclick: () => view.set({ state: view.get('state') === state ? '' : state, day: '' }),
        },
        `${sign} ${number(days)} ${text}`,
      );
    return h(
      'p',
      { class: 'chips' },
      chip('attention', '!', attention === 1 ? 'needs somebody' : 'need somebody', attention),
      states.filter(({ name }) => count(name) > 0).map(({ name, sign }) => chip(name, sign, name, count(name))),
    );
  }

  /** The command that makes all days that a run can make. */
  function next() {
    const days = answer.days.filter((one) => one.next?.do === 'run');
    if (!days.length) return null;
    return h(
      'p',
      { id: 'next' },
      `${number(days.length)} ${days.length === 1 ? 'day' : 'days'} to make: `,
      command(`${answer.program} run --stale`),
    );
  }

  function list() {
    // The newest first.
    const days = chosen().toReversed();
    const rows = days.slice(0, shown).map(row);
    return h(
      'section',
      { class: 'panel', 'aria-label': 'List' },
      h('h2', {}, `${number(days.length)} of ${number(answer.days.length)} days`),
      h(
        'div',
        { class: 'scroll' },
        h(
          'table',
          { id: 'days' },
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              ['Day', 'State', 'Quotes', 'Options'].map((name) => h('th', { scope: 'col' }, name)),
              ['Rows', 'Rejects'].map((name) => h('th', { scope: 'col', class: 'number' }, name)),
              ['Published', 'Run', 'Why', 'Next'].map((name) => h('th', { scope: 'col' }, name)),
            ),
          ),
          h('tbody', {}, rows),
        ),
      ),
      days.length > shown &&
        h(
          'button',
          {
            type: 'button',
            id: 'more',
            onclick: () => {
              shown += ROWS;
              draw();
            },
          },
          `Show ${number(Math.min(ROWS, days.length - shown))} more`,
        ),
    );
  }

  function row(one) {
    const sign = states.find(({ name }) => name === one.state).sign;
    const quality = `/quality?${new URLSearchParams({ from: one.day, to: one.day, day: one.day })}`;
    const raw = ({ present, expected }) => `${number(present)}/${number(expected)}`;
    const published = one.published;
    const rows = published && (published.quotes ?? 0) + (published.options ?? 0);
    return h(
      'tr',
      { 'data-date': one.day, 'data-state': one.state },
      h('td', {}, h('a', { href: quality }, dayText(one.day))),
      h('td', { class: `state ${one.state}` }, `${sign} ${one.state}`),
      h('td', {}, raw(one.quotes)),
      h('td', {}, raw(one.options)),
      h('td', { class: 'number' }, published ? number(rows) : ''),
      h('td', { class: 'number' }, published?.rejects == null ? '' : number(published.rejects)),
      h(
        'td',
        {},
        published && h('span', { title: `${duration(published.age * 1000)} ago` }, instant(Date.parse(published.at))),
      ),
      h(
        'td',
        { class: 'run' },
        published && h('a', { href: `/runs?run=${encodeURIComponent(published.execution)}` }, published.run),
      ),
      h('td', { class: 'why' }, why(one)),
      h('td', { class: 'next' }, one.next && command(`${answer.program} ${one.next.arguments}`)),
    );
  }

  await load();
  return { update, renew: load };
}
