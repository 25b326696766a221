// A field for a name that is typed, with suggestions below it: the combobox of the ARIA Authoring Practices.

import { Cancelled, latest } from './api.js';
import { h, replace } from './dom.js';

/** How long nothing is typed before suggestions are asked for, in milliseconds. */
const PAUSE = 80;

/**
 * A field with suggestions. `ask(typed, signal)` promises a list of `{ name, note }`, `choose(name)` is told what was
 * chosen: with the arrows and Enter, with the mouse, or as it was typed. `back()` is told of a backspace in the empty field.
 */
export function suggesting({ id, label, placeholder, ask, choose, back, clear = true }) {
  const list = h('ul', { id: `${id}-list`, role: 'listbox', class: 'suggestions', 'aria-label': label, hidden: true });
  const input = h('input', {
    id,
    type: 'text',
    role: 'combobox',
    placeholder,
    autocomplete: 'off',
    autocapitalize: 'characters',
    spellcheck: 'false',
    size: 10,
    'aria-autocomplete': 'list',
    'aria-expanded': 'false',
    'aria-controls': list.id,
    'aria-label': label,
  });
  const next = latest();
  let names = [];
  let active = -1;
  let pause = null;

  function show(suggestions) {
    names = suggestions;
    active = -1;
    replace(
      list,
      names.map(({ name, note }, at) =>
        h(
          'li',
          {
            id: `${id}-${at}`,
            role: 'option',
            'aria-selected': 'false',
            'data-name': name,
            // The field keeps the focus.
            onmousedown: (event) => event.preventDefault(),
            onclick: () => take(name),
          },
          h('span', {}, name),
          note && h('span', { class: 'muted' }, note),
        ),
      ),
    );
    list.hidden = !names.length;
    input.setAttribute('aria-expanded', String(!list.hidden));
    input.removeAttribute('aria-activedescendant');
  }

  function close() {
    clearTimeout(pause);
    next.cancel();
    show([]);
  }

  function take(name) {
    close();
    input.value = clear ? '' : name;
    choose(name);
  }

  async function suggest() {
    try {
      const suggestions = await ask(input.value.trim(), next());
      if (document.activeElement === input) show(suggestions);
    } catch (error) {
      // Without suggestions a name can still be typed.
      if (!(error instanceof Cancelled)) show([]);
    }
  }

  function move(by) {
    if (!names.length) {
      suggest();
      return;
    }
    list.children[active]?.setAttribute('aria-selected', 'false');
    active = active < 0 && by < 0 ? names.length - 1 : (active + by + names.length) % names.length;
    list.children[active].setAttribute('aria-selected', 'true');
    list.children[active].scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', `${id}-${active}`);
  }

  input.addEventListener('input', () => {
    clearTimeout(pause);
    pause = setTimeout(suggest, PAUSE);
  });
  input.addEventListener('click', () => {
    if (list.hidden) suggest();
  });
  input.addEventListener('blur', close);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') move(1);
    else if (event.key === 'ArrowUp') move(-1);
    else if (event.key === 'Enter') {
      const name = names[active]?.name ?? input.value.trim().toUpperCase();
      if (name) take(name);
    } else if (event.key === 'Backspace' && !input.value && back) back();
    else return;
    event.preventDefault();
  });

  const element = h('span', { class: 'suggesting' }, input, list);
  return { element, input };
}
