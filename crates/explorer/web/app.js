// The frame around the views: which view an address means, keyboard, colours, formats.

import { Cancelled } from './lib/api.js';
import { failure, h, replace } from './lib/dom.js';
import { setLocale, locale } from './lib/format.js';
import { follow } from './lib/fresh.js';
import { View } from './lib/view.js';

const VIEWS = ['series', 'options', 'quality', 'runs', 'sql', 'days'];
const main = document.getElementById('main');

// The module of the view that is shown, what it left to be cleaned up, and its address.
let shown = null;

/**
 * Shows the view of the address. A view is a module with `title`, optional `keys` ([[key, meaning, function]]) and
 * `mount(root, view)`, which draws into `root` and gives `{ update(), dispose(), renew() }`: `update` is called when the address
 * changes within the view, `dispose` when it is left, `renew` when something new is published.
 *
 * `document.documentElement.dataset.state` is `loading`, `ready` or `error`, for those who wait for it.
 */
async function show() {
  const name = location.pathname.split('/')[1] || VIEWS[0];
  if (!VIEWS.includes(name)) return;
  if (shown?.name === name && shown.mounted) {
    await guarded(() => shown.mounted.update?.());
    return;
  }
  shown?.mounted?.dispose?.();
  // A view that could not be mounted, or is not yet, is mounted again for its new address.
  shown = { name, view: new View(name, show) };
  const mine = shown;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  await guarded(async () => {
    const module = await import(`/assets/pages/${name}.js`);
    if (shown !== mine) return;
    document.title = `${module.title} · pregao`;
    mine.module = module;
    const root = h('section', { class: `view ${name}` });
    replace(main, root);
    mine.mounted = await module.mount(root, mine.view);
    if (shown !== mine) mine.mounted?.dispose?.();
  });
}

let running = 0;

/** Runs what a view does, and shows what goes wrong in it. */
async function guarded(work) {
  const state = document.documentElement.dataset;
  running += 1;
  state.state = 'loading';
  try {
    await work();
    main.querySelector(':scope > .failure')?.remove();
    if (running === 1) state.state = 'ready';
  } catch (error) {
    // A newer question has taken the place of this one.
    if (!(error instanceof Cancelled)) {
      state.state = 'error';
      main.querySelector(':scope > .failure')?.remove();
      main.prepend(failure(error, () => location.reload()));
    }
  } finally {
    running -= 1;
    if (running === 0 && state.state === 'loading') state.state = 'ready';
  }
}

/** Goes to an address of this page without loading it again. */
function go(href) {
  history.pushState(null, '', href);
  show();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/"]');
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  // A link in a drawing has its target as an object.
  if (
    !link ||
    !plain ||
    link.hasAttribute('target') ||
    link.hasAttribute('download') ||
    link.getAttribute('href').startsWith('/api/')
  )
    return;
  event.preventDefault();
  go(link.getAttribute('href'));
});
window.addEventListener('popstate', show);

const KEYS = [
  ['1 … 6', 'the views'],
  ['/', 'the first field of the view'],
  ['?', 'this list'],
  ['Esc', 'leaves a field, closes this list'],
];
const keys = document.getElementById('keys');

function showKeys() {
  const own = (shown?.module?.keys ?? []).map(([key, meaning]) => [key, meaning]);
  replace(
    keys.querySelector('dl'),
    ...[...KEYS, ...own].flatMap(([key, meaning]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, meaning)]),
  );
  keys.showModal();
}

document.getElementById('help').addEventListener('click', showKeys);
document.addEventListener('keydown', (event) => {
  const field = event.target.closest?.('input, textarea, select, [contenteditable]');
  if (event.key === 'Escape' && field) field.blur();
  if (field || event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  const own = (shown?.module?.keys ?? []).find(([key]) => key === event.key);
  if (link) go(link.getAttribute('href'));
  else if (event.key === '?') showKeys();
  else if (event.key === '/') main.querySelector('input, textarea, select')?.focus();
  else if (own?.[2]) own[2](shown.mounted);
  else return;
  event.preventDefault();
});

document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('theme', root.dataset.theme);
  } catch {
    /* It holds for this page then. */
  }
  window.dispatchEvent(new Event('appearance'));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
  window.dispatchEvent(new Event('appearance')),
);

const select = document.getElementById('locale');
select.value = locale();
select.addEventListener('change', () => {
  setLocale(select.value);
  const name = shown?.name;
  shown?.mounted?.dispose?.();
  shown = null;
  if (name) show();
});

/** Draws the view again, unless somebody is writing in it. Returns whether it does. */
function renew() {
  if (shown && !shown.mounted) return false;
  if (!shown?.mounted?.renew) return true;
  const { activeElement: field } = document;
  if (main.contains(field) && field.matches('input, textarea, select')) return false;
  guarded(() => shown.mounted.renew());
  return true;
}

follow(document.getElementById('fresh'), renew);

if (location.pathname === '/') history.replaceState(null, '', `/${VIEWS[0]}`);
show();
