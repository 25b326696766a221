// The statements that were run last, kept in this browser.

const KEY = 'statements';
const MOST = 30;
const LONGEST = 20_000;

/** Puts a statement first among those kept. */
export function remember(statement) {
  if (statement.length > LONGEST) return;
  const all = [statement, ...texts().filter((text) => text !== statement)].slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    /* Without storage nothing is kept. */
  }
}

/** `{ name, statement }`s, the latest first. */
export const remembered = () =>
  texts().map((statement) => ({ name: statement.replace(/\s+/g, ' ').trim(), statement }));

function texts() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(kept) ? kept.filter((text) => typeof text === 'string') : [];
  } catch {
    return [];
  }
}
