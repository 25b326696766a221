// All days at a glance: a line for each year, a column for each week.

import { h } from '../../lib/dom.js';
import { day as dayText } from '../../lib/format.js';
import { states, why } from './words.js';

const SIGNS = new Map(states.map(({ name, sign }) => [name, sign]));
const DAY = 86_400_000;

/** The days of `days` by year. A press on one chooses it, another one leaves it. */
export function years(days, { chosen, choose }) {
  const byYear = new Map();
  for (const one of days) {
    const year = one.day.slice(0, 4);
    if (!byYear.has(year)) byYear.set(year, []);
    byYear.get(year).push(one);
  }
  // One listener for thousands of days.
  const press = (event) => {
    const date = event.target.closest('[data-day]')?.dataset.day;
    if (date) choose(date === chosen ? '' : date);
  };
  return h(
    'div',
    { class: 'years', onclick: press },
    [...byYear].toReversed().map(([year, ofYear]) =>
      h(
        'div',
        { class: 'year' },
        h('h3', {}, year),
        h(
          'div',
          { class: 'weeks' },
          ofYear.map((one) => cell(one, chosen)),
        ),
      ),
    ),
  );
}

function cell(one, chosen) {
  const date = new Date(`${one.day}T00:00:00Z`);
  const first = Date.UTC(date.getUTCFullYear(), 0, 1);
  // 0 for Monday.
  const weekday = (time) => (new Date(time).getUTCDay() + 6) % 7;
  const week = Math.floor(((date.getTime() - first) / DAY + weekday(first)) / 7);
  const reason = why(one);
  const told = `${dayText(one.day)}: ${one.state}${reason ? `; ${reason}` : ''}`;
  return h(
    'button',
    {
      type: 'button',
      class: `cell state ${one.state}`,
      style: `grid-column: ${week + 1}; grid-row: ${weekday(date.getTime()) + 1}`,
      'data-day': one.day,
      'data-state': one.state,
      'aria-pressed': String(one.day === chosen),
      'aria-label': told,
      title: told,
    },
    SIGNS.get(one.state),
  );
}
