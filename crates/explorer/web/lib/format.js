// Numbers and dates as Brazil or the English-speaking world writes them, by choice.
//
// Times of snapshots are those of Sao Paulo, written YYYYMMDDHHmm in the data (`intdate`); they are shown as they are, not
// converted to the reader's zone. Times of runs are instants, and shown in the reader's zone.

const DEFAULT = navigator.language?.toLowerCase().startsWith('pt') ? 'pt-BR' : 'en';
let chosen = null;
try {
  chosen = localStorage.getItem('locale');
} catch {
  /* The browser's own language then. */
}

export const locale = () => (chosen === 'en' || chosen === 'pt-BR' ? chosen : DEFAULT);

export function setLocale(value) {
  chosen = value;
  try {
    localStorage.setItem('locale', value);
  } catch {
    /* It holds for this page then. */
  }
}

const NOTHING = '–';
const made = new Map();

function formatter(options) {
  const key = locale() + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.NumberFormat(locale(), options));
  return made.get(key);
}

/** A number with up to `digits` decimals; a dash for NULL. */
export function number(value, digits = 6) {
  if (value === null || value === undefined) return NOTHING;
  return typeof value === 'number'
    ? formatter({ maximumFractionDigits: digits, signDisplay: 'negative' }).format(value)
    : String(value);
}

/** A number with just as many decimals, for a column of them; a dash for NULL. */
export const fixed = (value, digits) =>
  value === null || value === undefined
    ? NOTHING
    : formatter({ minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: 'negative' }).format(
        value,
      );

/** A price in BRL: always with two decimals, and more where the market has more. */
export const price = (value) =>
  value === null || value === undefined
    ? NOTHING
    : formatter({ minimumFractionDigits: 2, maximumFractionDigits: 4 }).format(value);

/** A quantity in few figures: 1.2M, 350K; in Brazil 1,2 mi. */
export const compact = (value) =>
  value === null || value === undefined
    ? NOTHING
    : formatter({ notation: 'compact', maximumFractionDigits: 2 }).format(value);

/** A share such as 0.0123 as 1.23%. */
export const percent = (value, digits = 2) =>
  value === null || value === undefined
    ? NOTHING
    : formatter({ style: 'percent', maximumFractionDigits: digits }).format(value);

/** Bytes, in powers of 1000. */
export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${number(value, value < 10 && at > 0 ? 1 : 0)} ${units[at]}`;
}

/** A duration in milliseconds. */
export function duration(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 1000) return `${number(ms, 0)} ms`;
  if (ms < 60_000) return `${number(ms / 1000, 1)} s`;
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}

/** How long ago, from milliseconds: less exact the longer. */
export function ago(ms) {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  const counted = (count, thing) => `${number(count)} ${thing}${count === 1 ? '' : 's'} ago`;
  if (minutes < 60) return `${number(minutes)} min ago`;
  if (minutes < 48 * 60) return counted(Math.floor(minutes / 60), 'hour');
  const days = Math.floor(minutes / 60 / 24);
  return days < 2 * 365 ? counted(days, 'day') : counted(Math.floor(days / 365.25), 'year');
}

/** `2020-04-01` as a date: 01/04/2020 in Brazil; in English as it is, since nobody misreads that. */
export function day(iso) {
  if (!iso) return NOTHING;
  const [year, month, date] = iso.split('-');
  return locale() === 'pt-BR' ? `${date}/${month}/${year}` : iso;
}

/** 202004011320 as its parts. */
export function snapshot(intdate) {
  const text = String(intdate);
  return {
    date: `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 8)}`,
    time: `${text.slice(8, 10)}:${text.slice(10, 12)}`,
  };
}

/** 202004011320 as a date and a time. */
export function intdate(value) {
  const { date, time } = snapshot(value);
  return `${day(date)} ${time}`;
}

/** An instant, in milliseconds since 1970, in the reader's zone. */
export const instant = (ms) =>
  ms === null || ms === undefined
    ? NOTHING
    : new Intl.DateTimeFormat(locale() === 'en' ? 'en-CA' : locale(), {
        dateStyle: 'short',
        timeStyle: 'medium',
        hourCycle: 'h23',
      }).format(ms);
