// A view's address carries all that is chosen in it, so that it can be sent to somebody, kept, and gone back to.

export class View {
  #name;
  #changed;

  constructor(name, changed) {
    this.#name = name;
    this.#changed = changed;
  }

  /** What is chosen for `name`, or `otherwise`. */
  get(name, otherwise = '') {
    return new URLSearchParams(location.search).get(name) ?? otherwise;
  }

  /** All that is chosen for `name`. */
  all(name) {
    return new URLSearchParams(location.search).getAll(name);
  }

  /**
   * Chooses: writes these into the address and has the view updated. Empty ones are left out, lists given item by item.
   * With `replace` the address takes the place of the one before, for what nobody wants to go back to.
   */
  set(choices, { replace = false, update = true } = {}) {
    const search = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(choices)) {
      search.delete(name);
      for (const item of Array.isArray(value) ? value : [value]) {
        if (item !== '' && item !== null && item !== undefined && item !== false) search.append(name, item);
      }
    }
    const text = search.toString();
    const href = `/${this.#name}${text ? `?${text}` : ''}`;
    if (href !== location.pathname + location.search) {
      if (replace) history.replaceState(null, '', href);
      else history.pushState(null, '', href);
    }
    if (update) this.#changed();
  }

  /** The address of this view with these choices. */
  href(choices) {
    const search = new URLSearchParams(
      Object.entries(choices).filter(([, value]) => value !== '' && value !== null && value !== undefined),
    );
    const text = search.toString();
    return `/${this.#name}${text ? `?${text}` : ''}`;
  }
}
