// What is shown of a name that is not there: on which days it is, or what is called like it.

import { h } from './dom.js';
import { day, number } from './format.js';

/** `show(from, to)` goes to other days, `instead(name)` to another name; `what` it is, in a word. */
export function absentBox({ name, days, searched, nearest }, { what, show, instead }) {
  const button = (text, onclick) => h('button', { type: 'button', onclick }, text);
  const box = (...children) => h('div', { class: 'empty', role: 'status', 'data-absent': name }, children);
  if (!days.length) {
    return box(
      h('p', {}, `There is no ${what} ${name}, nor was there one on the latest ${number(searched)} published days.`),
      nearest.length
        ? h(
            'p',
            {},
            'Did you mean ',
            nearest.map((other) => button(other, () => instead(other))),
            '?',
          )
        : h('p', { class: 'hint' }, 'Type the beginning of its name to see which there are.'),
    );
  }
  const [first, last] = [days[0], days.at(-1)];
  return box(
    h(
      'p',
      {},
      `${name} is not there on the days that are asked for. It is on ${number(days.length)} of the latest ${number(searched)} ` +
        `published days, from ${day(first)} to ${day(last)}.`,
    ),
    days.slice(-5).map((date) => button(day(date), () => show(date, date))),
    days.length > 1 && button('All of them', () => show(first, last)),
  );
}
