// The labels of the time axis, chosen for the window that is shown: no day begins in it without its date, and it has one date at least.

import { day, snapshot } from '../../lib/format.js';
import { isBreak } from './model.js';

/** Pixels of a character, and between two labels. */
const [CHARACTER, BETWEEN] = [6.6, 10];
/** Hours are labelled where so many days or fewer are shown. */
const FEW_DAYS = 2;

/**
 * The labels of the places from `first` to `last`, over `room` pixels: a map from the name of a place to its text. A day has
 * its date where it begins; a day whose beginning is outside the window has date and time at its first place within.
 * Where dates are closer together than their text is wide, some are left out. Hours take what room is left.
 */
export function labels({ axis, starts }, [first, last], room) {
  const shown = days(axis, starts, first, last);
  const slot = room / Math.max(1, last - first + 1);
  const placed = [];
  const fits = (at, text) =>
    placed.every((other) => slot * Math.abs(at - other.at) >= (wide(text) + wide(other.text)) / 2);
  const place = (at, text) => {
    if (fits(at, text)) placed.push({ at, text });
  };
  const [cut] = shown.filter(({ begins }) => !begins);
  for (const { date, at } of shown.filter(({ begins }) => begins)) place(at, day(date));
  if (cut) place(cut.at, `${day(cut.date)} ${snapshot(axis[cut.at]).time}`);
  if (shown.length <= FEW_DAYS) {
    const times = slot >= wide('10:00') ? () => true : (at) => isNewHour(axis, at);
    for (const { at, end } of shown)
      for (let one = at; one <= end; one += 1) if (times(one)) place(one, snapshot(axis[one]).time);
  }
  return new Map(placed.map(({ at, text }) => [axis[at], text]));
}

const wide = (text) => text.length * CHARACTER + BETWEEN;

/** The days of which a slot is within the window: the date, the first and the last place within, and whether the day begins there. */
function days(axis, starts, first, last) {
  return starts.flatMap(({ date, at: start }, one) => {
    const next = starts[one + 1]?.at ?? axis.length;
    let end = Math.min(last, next - 1);
    while (end >= start && isBreak(axis[end])) end -= 1;
    const at = Math.max(first, start);
    return at <= end ? [{ date, at, end, begins: at === start }] : [];
  });
}

/** Whether a slot is the first of its hour. */
function isNewHour(axis, at) {
  const before = axis[at - 1] ?? 'night';
  return isBreak(before) || snapshot(before).time.slice(0, 2) !== snapshot(axis[at]).time.slice(0, 2);
}
